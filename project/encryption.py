"""What the settings say of TLS, to broker and database. What is wrong is one sentence with its cure."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"
"""In place of a file, for libpq: whom the system trusts."""
_OTHERS = ("ssl", "verify", "cacertfile", "certfile", "keyfile", "server_name")
"""How options of other programs begin that mean TLS."""
BY_PASSWORD, BY_CERTIFICATE = LOGINS = ("password", "certificate")
EXTERNAL = "EXTERNAL"
"""AMQP's word for it: who we are is told by what carries the connection."""

OF_ANOTHER = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's words for a key that is not the certificate's: of the same kind, and of another, such as RSA for EC."""
TOO_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")
"""For what this system's OpenSSL would not use, whoever asks for it."""


class _IsEncrypted(Exception):
    """A private key that only a passphrase opens."""


def broker_ca(path: str, *, broker_url: str) -> str | None:
    """The file of BROKER_CA; None where the system's own are trusted. Raises ImproperlyConfigured."""
    addresses = broker_url.split(";")
    with_tls = [address for address in addresses if address.startswith("amqps:")]
    if with_tls and len(with_tls) < len(addresses):
        raise ImproperlyConfigured("BROKER_URL names nodes with and without TLS; begin each with amqps://, or none.")
    for option in (name for address in addresses for name, _ in parse_qsl(urlsplit(address).query)):
        if option.startswith(_OTHERS):
            raise ImproperlyConfigured(
                f"BROKER_URL has the option {option}, which has no effect; begin it with amqps://, which checks the "
                "server's certificate, and name its CA's file in BROKER_CA."
            )
    if path and not with_tls:
        raise ImproperlyConfigured("BROKER_CA is set, but BROKER_URL asks for no TLS; begin it with amqps://.")
    if path:
        _require_certificates("BROKER_CA", path)
    return path or None


def broker_certificate(certificate: str, key: str, *, broker_url: str) -> tuple[str | None, str | None]:
    """The files of BROKER_CERTIFICATE and BROKER_KEY, by which RabbitMQ knows us. Raises ImproperlyConfigured."""
    if not certificate and not key:
        return None, None
    if not certificate or not key:
        given, other = ("BROKER_CERTIFICATE", "BROKER_KEY") if certificate else ("BROKER_KEY", "BROKER_CERTIFICATE")
        raise ImproperlyConfigured(f"{given} is set without {other}; set both, or neither.")
    if not broker_url.startswith("amqps:"):
        raise ImproperlyConfigured("BROKER_CERTIFICATE is set, but BROKER_URL asks for no TLS; begin it with amqps://.")
    _require_certificates("BROKER_CERTIFICATE", certificate)
    _require_key_of(certificate, key)
    return certificate, key


def broker_login(how: str, *, certificate: str | None, broker_url: str) -> str | None:
    """Celery's broker_login_method; None for user and password. Raises ImproperlyConfigured."""
    if how == BY_PASSWORD:
        return None
    if certificate is None:
        raise ImproperlyConfigured("BROKER_LOGIN=certificate needs one; set BROKER_CERTIFICATE and BROKER_KEY.")
    if any(urlsplit(address).username for address in broker_url.split(";")):
        raise ImproperlyConfigured(
            "BROKER_LOGIN=certificate takes the user's name from the certificate; leave user and password out of "
            "BROKER_URL, such as amqps://rabbit1.example.com:5671//."
        )
    return EXTERNAL


def require_usable(name: str, database: Mapping[str, Any]) -> None:
    """Of a database's address. Raises ImproperlyConfigured."""
    options = database.get("OPTIONS", {})
    mode, ca = options.get("sslmode"), options.get("sslrootcert")
    if mode is not None and mode not in SSL_MODES:
        raise ImproperlyConfigured(f"{name} has sslmode={mode}; use verify-full, or one of {', '.join(SSL_MODES)}.")
    if ca is None or ca == SYSTEM:
        return
    if mode not in ("verify-ca", "verify-full"):
        raise ImproperlyConfigured(f"{name} names a CA and does not have it checked; add sslmode=verify-full.")
    _require_certificates(f"{name}'s sslrootcert", str(ca))


def _require_certificates(what: str, path: str) -> None:
    _require_readable(what, path)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ImproperlyConfigured(f"{what}={path} holds no certificate; it has to be a file in PEM format.") from None


def _require_key_of(certificate: str, key: str) -> None:
    _require_readable("BROKER_KEY", key)
    try:
        # Without this OpenSSL would ask for a passphrase at the terminal, and a service would wait there for ever.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_refuse_passphrase)
    except _IsEncrypted:
        cure = "nobody is there to type it. Take it off, such as by openssl pkey -in KEY -out NEW"
        raise ImproperlyConfigured(f"BROKER_KEY={key} is locked by a passphrase, and {cure}.") from None
    except ssl.SSLError as error:
        if error.reason in OF_ANOTHER:
            cure = f"BROKER_CERTIFICATE={certificate}; name the two that were made together"
            raise ImproperlyConfigured(f"BROKER_KEY={key} does not belong to {cure}.") from None
        if error.reason in TOO_WEAK:
            cure = "too weak for OpenSSL here; have one made with a longer key and SHA-256"
            raise ImproperlyConfigured(f"BROKER_CERTIFICATE={certificate} is {cure}.") from None
        raise ImproperlyConfigured(
            f"BROKER_KEY={key} holds no private key; it has to be a file in PEM format."
        ) from None


def _refuse_passphrase() -> NoReturn:
    raise _IsEncrypted


def _require_readable(what: str, path: str) -> None:
    if Path(path).is_dir():
        raise ImproperlyConfigured(f"{what}={path} is a folder. Name a file in PEM format.")
    try:
        Path(path).open("rb").close()
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise ImproperlyConfigured(f"{what}={path} cannot be used: {why}. Name a file in PEM format.") from None
