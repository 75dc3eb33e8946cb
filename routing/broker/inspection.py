"""What RabbitMQ says of the queues, over a short-lived connection with tight time-outs."""

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from amqp.exceptions import AccessRefused, NotAllowed
from celery import current_app
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from kombu import Connection

from routing.broker.tls import Unusable
from routing.broker.topology import UNROUTED_QUEUE, QueueDepth, depths
from routing.domains import Domain

EXTERNAL = "EXTERNAL"
"""AMQP's word for a login by certificate."""
NO_WAY_IN = "auth mechanism"
"""In py-amqp's words where the server offers none that we were told to use."""


class BrokerUnavailable(Exception):
    """RabbitMQ gave no answer. The message tells the cure, in the language of whoever reads it: threads ask for others.

    It holds no password and no user name.
    """


def inspect(domains: Iterable[Domain], *, seconds: float) -> dict[str, QueueDepth | None]:
    """Depth and consumers of every lane, dead-letter queue and the unrouted queue; None where one does not exist.

    ``seconds`` bounds each wait for the broker, not their sum. Raises BrokerUnavailable.
    """
    names = [name for domain in domains for name in (*domain.queues, domain.dead_letter_queue)]
    with answering(seconds=seconds) as connection:
        return depths(connection, [*names, UNROUTED_QUEUE.name])


@contextmanager
def answering(*, seconds: float) -> Iterator[Connection]:
    """A connection of its own, on which each answer may take so long. Raises BrokerUnavailable."""
    connection = current_app.connection_for_read(
        connect_timeout=seconds,
        transport_options={"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds},
    )
    try:
        # One try for each node of a cluster, with no pause between them.
        connection.ensure_connection(
            max_retries=len(connection.alt or [""]) - 1,
            interval_start=0,
            interval_step=0,
            reraise_as_library_errors=False,
        )
        yield connection
    except connection.connection_errors + connection.channel_errors as error:
        # No goodbye to a broker that does not answer: it would be one more wait.
        connection.collect()
        raise BrokerUnavailable(cure(error, connection)) from error
    connection.release()


def cure(error: BaseException, connection: Connection) -> Promise:
    """Why the broker cannot be used, and what to do; without password or user name."""
    if isinstance(error, Unusable):
        return error.sentence
    if isinstance(error, AccessRefused) and "refused for user" in str(error):
        told = _("RabbitMQ's user lacks a right: {right}. docs/topology.md has the rights that each one needs.")
        return format_lazy(told, right=error.reply_text)
    if isinstance(error, AccessRefused) and connection.login_method == EXTERNAL:
        return _(
            "RabbitMQ has no user by the name in the certificate of BROKER_CERTIFICATE. Its log has that name: add "
            "the user, or see ssl_cert_login_from in rabbitmq.conf."
        )
    if isinstance(error, AccessRefused):
        return _("RabbitMQ refuses the user name or password in BROKER_URL. Correct them.")
    if isinstance(error, NotAllowed):
        told = _(
            "RabbitMQ knows no virtual host {name}, or keeps this user out of it. Correct BROKER_URL, or add the "
            "virtual host."
        )
        return format_lazy(told, name=repr(connection.virtual_host))
    return _unreachable(error, connection)


def _unreachable(error: BaseException, connection: Connection) -> Promise:
    where = f"{connection.hostname}:{connection.port}"
    if NO_WAY_IN in str(error):
        return _no_way_in(where, connection)
    if isinstance(error, socket.gaierror):
        return format_lazy(_("The host {host} is not known. Correct BROKER_URL."), host=connection.hostname)
    if isinstance(error, TimeoutError | ssl.SSLWantReadError | ssl.SSLWantWriteError):
        told = _(
            "RabbitMQ does not answer at {where}. See whether it hangs, and whether BROKER_URL names the right one."
        )
        return format_lazy(told, where=where)
    return format_lazy(_("RabbitMQ cannot be reached at {where}. Start it, or correct BROKER_URL."), where=where)


def _no_way_in(where: str, connection: Connection) -> Promise:
    by_certificate = _(
        "RabbitMQ takes no login by certificate at {where}. Enable its plugin rabbitmq_auth_mechanism_ssl and add "
        "EXTERNAL to its auth_mechanisms, or leave BROKER_LOGIN out."
    )
    by_password = _(
        "RabbitMQ takes no login by user and password at {where}. Set BROKER_LOGIN=certificate where it takes one by "
        "certificate, or add PLAIN to its auth_mechanisms."
    )
    return format_lazy(by_certificate if connection.login_method == EXTERNAL else by_password, where=where)
