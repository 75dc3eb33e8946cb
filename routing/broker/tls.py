"""TLS to RabbitMQ, for addresses that begin with amqps://: its certificate and host name are checked, always.

py-amqp by itself checks no name. Kombu would check every node of a cluster against the name of the first.
"""

import ssl
from typing import Any

from django.conf import settings
from kombu.transport import pyamqp

from routing.broker import acks

WRONG_NAME = (62, 64)
"""OpenSSL's codes: of a host, of an IP address."""
NOT_YET, EXPIRED = 9, 10
SPEAKS_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
HANGS_UP = "unexpectedly closed"
"""py-amqp's words where the other side ends the connection."""


class Unusable(ConnectionError):
    """No connection, for a reason that has to do with TLS. The message tells the cure; no password is in it."""


class Transport(acks.Transport):
    """Without TLS. Asked for where there is nothing else, it is told by the other side's hanging up."""

    def establish_connection(self) -> Any:
        client: Any = self.client
        try:
            return super().establish_connection()
        except OSError as error:
            if HANGS_UP not in str(error) and not isinstance(error, ConnectionResetError):
                raise
            raise Unusable(
                f"RabbitMQ hangs up at {client.hostname}:{client.port} before it has said a word. See "
                "whether it has started; if that is its port for TLS, begin BROKER_URL with amqps://."
            ) from error


class TlsTransport(acks.Transport):
    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        # By this Kombu knows the port to take where the address names none.
        client.ssl = client.ssl or True

    def establish_connection(self) -> Any:
        client: Any = self.client
        name = client.hostname or "localhost"
        client.ssl = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": settings.TASKYARD_BROKER_CA, "server_hostname": name}
        try:
            return super().establish_connection()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            # What a socket's own time-out looks like.
            raise TimeoutError(f"no answer from {name}:{client.port}") from error
        except ssl.SSLError as error:
            raise Unusable(_cure(error, f"{name}:{client.port}")) from error
        finally:
            # Kombu makes a number of localhost, which the certificate may not be for at the next connection.
            client.hostname = name


class Connection(acks.Connection):
    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return {acks.Transport: Transport, pyamqp.SSLTransport: TlsTransport}.get(found, found)


def _cure(error: ssl.SSLError, where: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"RabbitMQ's certificate at {where} {_distrusted(error)}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"RabbitMQ hangs up at {where}. See whether it has started; its log says more."
    if error.reason in SPEAKS_NO_TLS:
        return f"RabbitMQ speaks no TLS at {where}. Name its port for TLS in BROKER_URL, 5671 as a rule."
    return f"RabbitMQ and we found no way to speak TLS at {where}: {error.reason or error}. Its log says more."


def _distrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in WRONG_NAME:
        return "is for another host name. Put a name that it is for into BROKER_URL."
    if error.verify_code == EXPIRED:
        return "has expired. Renew it."
    if error.verify_code == NOT_YET:
        return "is not valid yet. See whether both clocks are right."
    if settings.TASKYARD_BROKER_CA:
        return "is not signed by the CA in BROKER_CA. Name the file of the CA that did."
    return "is signed by no CA that this system trusts. Name the file of the CA that did: BROKER_CA=/path/to/ca.pem."
