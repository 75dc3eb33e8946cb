"""Reads the e-mails by which mail servers report: bounces (RFC 3464) and complaints (RFC 5965)."""

import re
from collections.abc import Iterator
from email import message_from_bytes, message_from_string
from email.message import Message

from notifications.consent import blame
from notifications.consent.feedback import Kind, Told, address_key

# Both also with addresses in any script (RFC 6533).
_STATUS = ("message/delivery-status", "message/global-delivery-status")
_WHOLE = ("message/rfc822", "message/global")
_HEADERS = ("text/rfc822-headers", "message/global-headers")
_COMPLAINTS = ("message/feedback-report",)

_ACTIONS = {"failed": Kind.HARD_BOUNCE, "delayed": Kind.SOFT_BOUNCE}
_NO_BOUNCE = ("delivered", "relayed", "expanded")
_SPAM = ("abuse", "fraud", "virus", "opt-out", "opt-out-list")
_NO_COMPLAINT = ("not-spam", "auth-failure", "other", "miscategorized")

Fields = Message


class NotUnderstood(ValueError):
    """What came is no report; the message tells why."""


def read(raw: bytes) -> list[Told]:
    """Nothing for reports of success. Raises NotUnderstood."""
    try:
        parts = list(message_from_bytes(raw).walk())
    except (RecursionError, ValueError, LookupError) as error:
        raise NotUnderstood("It is no e-mail that can be read.") from error
    message_id = _message_id(parts)
    for part in parts:
        if part.get_content_type() in _STATUS:
            return list(_bounces(_blocks(part), message_id))
        if part.get_content_type() in _COMPLAINTS:
            return list(_complaints(_blocks(part), message_id))
    raise NotUnderstood(
        "It has no part of type message/delivery-status (a bounce) or message/feedback-report (a complaint)."
    )


def _blocks(part: Fields) -> list[Fields]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _message_id(parts: list[Fields]) -> str:
    """Of the message that is reported, which lies in the report as a whole or with its headers alone."""
    for part in parts:
        if part.get_content_type() in _WHOLE and (blocks := _blocks(part)):
            return _field(blocks[0], "Message-ID")
        if part.get_content_type() in _HEADERS:
            blocks = _blocks(part) or [message_from_string(str(part.get_payload()))]
            return _field(blocks[0], "Message-ID")
    return ""


def _bounces(blocks: list[Fields], message_id: str) -> Iterator[Told]:
    """The first block is about the message, each further one about a recipient."""
    reported = [block for block in blocks if block["Action"]]
    if not reported:
        raise NotUnderstood("Its delivery status names no recipient with an Action.")
    for block in reported:
        action = _field(block, "Action").lower()
        if action in _NO_BOUNCE:
            continue
        if action not in _ACTIONS:
            raise NotUnderstood(f"Its Action is {action!r}, which is none of RFC 3464.")
        yield _bounce(block, _ACTIONS[action], message_id)


def _bounce(block: Fields, kind: Kind, message_id: str) -> Told:
    given = (_recipient(block, "Original-Recipient"), _recipient(block, "Final-Recipient"))
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}", _field(block, "Status"))
    status, said = found[0] if found else "", _typed(_field(block, "Diagnostic-Code"))
    return _identified(
        Told(
            kind=kind,
            message_id=message_id,
            address=next(filter(None, given), ""),
            status=status,
            detail=said or status,
            blames_address=blame.blames(status, said),
        )
    )


def _complaints(blocks: list[Fields], message_id: str) -> Iterator[Told]:
    if not blocks or not blocks[0]["Feedback-Type"]:
        raise NotUnderstood("Its feedback report names no Feedback-Type.")
    fields = blocks[0]
    kind = _field(fields, "Feedback-Type").lower()
    if kind in _NO_COMPLAINT:
        return
    if kind not in _SPAM:
        raise NotUnderstood(f"Its Feedback-Type is {kind!r}, which is none that we know.")
    given = (_recipient(fields, name) for name in ("Original-Rcpt-To", "Removal-Recipient"))
    told = Told(
        kind=Kind.COMPLAINT,
        message_id=message_id,
        address=next(filter(None, given), ""),
        detail=f"{kind}, by {_field(fields, 'User-Agent') or 'a mail provider'}",
        at=_field(fields, "Arrival-Date"),
    )
    yield _identified(told)


def _identified(told: Told) -> Told:
    if not (told.message_id or told.address):
        raise NotUnderstood("It names neither the Message-ID of what it is about nor an address.")
    return told


def _recipient(fields: Fields, name: str) -> str:
    text = _typed(_field(fields, name)).strip("<> ")
    return text if address_key(text) else ""


def _typed(value: str) -> str:
    """``rfc822; ann@example.org`` and ``smtp; 550 5.1.1 No such user`` without their type."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and re.fullmatch(r"[\w-]+", kind.strip()) else value


def _field(fields: Fields, name: str) -> str:
    return " ".join(str(fields.get(name, "")).split())
