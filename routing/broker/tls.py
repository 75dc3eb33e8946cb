"""TLS to RabbitMQ, for addresses that begin with amqps://: its certificate and host name are checked, always.

py-amqp by itself checks no name. Kombu would check every node of a cluster against the name of the first.
"""

import ssl
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from kombu.transport import pyamqp

from routing.broker import acks

WRONG_NAME = (62, 64)
"""OpenSSL's codes: of a host, of an IP address."""
NOT_YET, EXPIRED = 9, 10
SPEAKS_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
HANGS_UP = "unexpectedly closed"
"""py-amqp's words where the other side ends the connection."""
ASKED_FOR_OURS = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")
"""What a server says that asked for a certificate and was shown none: in TLS 1.3, and before."""
ASKS = _(
    "RabbitMQ at {where} asks who we are. Name our certificate and its key: BROKER_CERTIFICATE=/path/to/taskyard.crt "
    "and BROKER_KEY=/path/to/taskyard.key."
)
REFUSES = _("RabbitMQ at {where} refuses us: the certificate in BROKER_CERTIFICATE {fault}")
REFUSED_OURS = {
    "UNKNOWN_CA": _("is signed by a CA that RabbitMQ does not know. Have it signed by one in the broker's cacertfile."),
    "CERTIFICATE_EXPIRED": _("has expired. Renew it."),
    "CERTIFICATE_REVOKED": _("was revoked. Have a new one made."),
    "UNSUPPORTED_CERTIFICATE": _("is not made for clients. Have one made with the extended key usage clientAuth."),
}
REFUSED = "CERTIFICATE"
"""Is in the words of every other reason for which a server takes no certificate."""
GONE = _("A file that BROKER_CA, BROKER_CERTIFICATE or BROKER_KEY names is not there any more. Put it back.")


class Unusable(ConnectionError):
    """No connection, for a reason that has to do with TLS. The sentence tells the cure; no password is in it."""

    def __init__(self, sentence: Promise) -> None:
        # Programs that log it want text; whoever shows it asks for the sentence.
        super().__init__(str(sentence))
        self.sentence = sentence


class Transport(acks.Transport):
    """Without TLS. Asked for where there is nothing else, it is told by the other side's hanging up."""

    def establish_connection(self) -> Any:
        client: Any = self.client
        try:
            return super().establish_connection()
        except OSError as error:
            if not _is_hanging_up(error):
                raise
            told = _(
                "RabbitMQ hangs up at {where} before it has said a word. See whether it has started; if that is its "
                "port for TLS, begin BROKER_URL with amqps://."
            )
            raise Unusable(format_lazy(told, where=f"{client.hostname}:{client.port}")) from error


class TlsTransport(acks.Transport):
    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        # By this Kombu knows the port to take where the address names none.
        client.ssl = client.ssl or True

    def establish_connection(self) -> Any:
        client: Any = self.client
        name = client.hostname or "localhost"
        client.ssl = _options(name)
        try:
            return super().establish_connection()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            # What a socket's own time-out looks like.
            raise TimeoutError(f"no answer from {name}:{client.port}") from error
        except ssl.SSLError as error:
            raise Unusable(_cure(error, f"{name}:{client.port}")) from error
        except FileNotFoundError as error:
            raise Unusable(GONE) from error
        except OSError as error:
            if not _is_hanging_up(error):
                raise
            raise Unusable(_hung_up(f"{name}:{client.port}")) from error
        finally:
            # Kombu makes a number of localhost, which the certificate may not be for at the next connection.
            client.hostname = name


class Connection(acks.Connection):
    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return {acks.Transport: Transport, pyamqp.SSLTransport: TlsTransport}.get(found, found)


def _options(name: str) -> dict[str, Any]:
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": settings.TASKYARD_BROKER_CA,
        "certfile": settings.TASKYARD_BROKER_CERTIFICATE,
        "keyfile": settings.TASKYARD_BROKER_KEY,
        "server_hostname": name,
    }


def _is_hanging_up(error: OSError) -> bool:
    return HANGS_UP in str(error) or isinstance(error, ConnectionResetError | BrokenPipeError)


def _cure(error: ssl.SSLError, where: str) -> Promise:
    if isinstance(error, ssl.SSLCertVerificationError):
        return format_lazy(_("RabbitMQ's certificate at {where} {fault}"), where=where, fault=_distrusted(error))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _hung_up(where)
    if told := _refused(str(error.reason).rpartition("ALERT_")[2], where):
        return told
    if error.reason in SPEAKS_NO_TLS:
        told = _("RabbitMQ speaks no TLS at {where}. Name its port for TLS in BROKER_URL, 5671 as a rule.")
        return format_lazy(told, where=where)
    told = _("RabbitMQ and we found no way to speak TLS at {where}: {reason}. Its log says more.")
    return format_lazy(told, where=where, reason=error.reason or str(error))


def _refused(alert: str, where: str) -> Promise | None:
    """What the server has against our certificate; None where its alert is about something else."""
    if settings.TASKYARD_BROKER_CERTIFICATE is None:
        return format_lazy(ASKS, where=where) if alert in ASKED_FOR_OURS else None
    if REFUSED not in alert and alert not in REFUSED_OURS:
        return None
    fault = REFUSED_OURS.get(alert, _("is none that it takes. Its log says more."))
    return format_lazy(REFUSES, where=where, fault=fault)


def _hung_up(where: str) -> Promise:
    told = _("RabbitMQ hangs up at {where}. See whether it has started; its log says more.")
    if settings.TASKYARD_BROKER_CERTIFICATE:
        return format_lazy(told, where=where)
    # Where it asks for ours it says so, and hangs up; what it said may be lost with that.
    also = _(
        "If it asks for a certificate, name ours and its key: BROKER_CERTIFICATE=/path/to/taskyard.crt and "
        "BROKER_KEY=/path/to/taskyard.key."
    )
    return format_lazy("{told} {also}", told=format_lazy(told, where=where), also=also)


def _distrusted(error: ssl.SSLCertVerificationError) -> Promise:
    if error.verify_code in WRONG_NAME:
        return _("is for another host name. Put a name that it is for into BROKER_URL.")
    if error.verify_code == EXPIRED:
        return _("has expired. Renew it.")
    if error.verify_code == NOT_YET:
        return _("is not valid yet. See whether both clocks are right.")
    if settings.TASKYARD_BROKER_CA:
        return _("is not signed by the CA in BROKER_CA. Name the file of the CA that did.")
    return _("is signed by no CA that this system trusts. Name the file of the CA that did: BROKER_CA=/path/to/ca.pem.")
