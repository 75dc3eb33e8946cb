"""A publication as it goes out to RabbitMQ, or why it cannot."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from routing.broker import alike, wire
from routing.broker.sending import EPOCH_HEADER, UNSERIALISABLE
from routing.ledger.outbox import Publication


class Outgoing:
    """Publications with their messages, each made in its turn. ``refused``: why others cannot be sent, by id."""

    def __init__(self, publications: Iterable[Publication], *, largest_frame: int) -> None:
        self._publications = publications
        self._largest_frame = largest_frame
        self.refused: dict[int, str] = {}

    def __iter__(self) -> "Iterator[tuple[Publication, Prepared]]":
        for publication in self._publications:
            try:
                message = prepared(publication)
            except UNSERIALISABLE as error:
                self.refused[publication.id] = f"Its headers cannot be sent: {sentence(error)}"
                continue
            if len(message.properties) > self._largest_frame:
                # RabbitMQ would close the connection.
                self.refused[publication.id] = (
                    f"Its headers take {len(message.properties):,} bytes, but RabbitMQ takes {self._largest_frame:,} "
                    "at most"
                )
            else:
                yield publication, message


class Prepared(NamedTuple):
    """``properties`` as they go out, made before any byte of it is sent, so that a bad one harms no other."""

    properties: bytes
    body: bytes


def prepared(publication: Publication) -> Prepared:
    return Prepared(alike.serialised(publication, properties), publication.body.encode())


def properties(publication: Publication) -> bytes:
    return wire.properties(
        json.loads(publication.properties)
        | {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 2,
            "application_headers": headers(publication),
        }
    )


def headers(publication: Publication) -> dict[str, Any]:
    """As enqueued, but for what differs from one publication of the message to the next."""
    enqueued: dict[str, Any] = json.loads(publication.headers)
    return enqueued | {
        "id": publication.message_id,
        EPOCH_HEADER: publication.epoch,
        "retries": publication.attempt - 1,
        # The ledger keeps these: a worker that saw them would hold the message back, or drop it unrecorded.
        "eta": None,
        "expires": None,
    }


def sentence(error: BaseException) -> str:
    return str(getattr(error, "reply_text", None) or error or type(error).__name__)
