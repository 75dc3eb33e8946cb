"""What the settings say of TLS, to broker and database. What is wrong is one sentence with its cure."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"
"""In place of a file, for libpq: whom the system trusts."""
_OTHERS = ("ssl", "verify", "cacertfile", "certfile", "keyfile", "server_name")
"""How options of other programs begin that mean TLS."""


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
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ImproperlyConfigured(f"{what}={path} holds no certificate; it has to be a file in PEM format.") from None
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise ImproperlyConfigured(f"{what}={path} cannot be used: {why}. Name a file in PEM format.") from None
    if Path(path).is_dir():
        raise ImproperlyConfigured(f"{what}={path} is a folder. Name a file in PEM format.")
