"""What the settings say of TLS, right and wrong."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.encryption import broker_ca, require_usable
from tests.certificates import Authority

pytestmark = pytest.mark.any_database
PLAIN, SECURE = "amqp://me:secret@rabbit1:5672//", "amqps://me:secret@rabbit1:5671//"


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return str(Authority(tmp_path, "ours").path)


def database(**options: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options}


def test_a_broker_is_trusted_by_its_ca_or_by_the_systems(ca: str) -> None:
    assert broker_ca(ca, broker_url=f"{SECURE};{SECURE}") == ca
    assert broker_ca("", broker_url=SECURE) is None
    assert broker_ca("", broker_url=f"{PLAIN}?heartbeat=10") is None


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        (f"{SECURE};{PLAIN}", "nodes with and without TLS; begin each with amqps://, or none."),
        (f"{SECURE}?ssl_ca_certs=/ca.pem", "option ssl_ca_certs, which has no effect; .* in BROKER_CA."),
        (f"{PLAIN}?verify=verify_peer", "option verify, which has no effect; begin it with amqps://"),
    ],
)
def test_a_broker_url_that_promises_tls_and_has_none_is_refused(url: str, cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=cure) as refused:
        broker_ca("", broker_url=url)

    assert "secret" not in str(refused.value)


def test_a_ca_for_a_broker_without_tls_is_refused(ca: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"BROKER_URL asks for no TLS; begin it with amqps://."):
        broker_ca(ca, broker_url=PLAIN)


@pytest.mark.parametrize("what", ["absent", "a folder", "no certificate"])
def test_a_ca_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / what.replace(" ", "-")
    if what == "a folder":
        path.mkdir()
    elif what == "no certificate":
        path.write_text("hello")

    with pytest.raises(ImproperlyConfigured, match=f"BROKER_CA={path} .*PEM format"):
        broker_ca(str(path), broker_url=SECURE)
    with pytest.raises(ImproperlyConfigured, match=f"DATABASE_URL's sslrootcert={path} .*PEM format"):
        require_usable("DATABASE_URL", database(sslmode="verify-full", sslrootcert=str(path)))


def test_a_database_url_may_ask_for_tls_or_not(ca: str) -> None:
    for options in ({}, {"sslmode": "verify-full"}, {"sslmode": "verify-full", "sslrootcert": "system"}):
        require_usable("DATABASE_URL", database(**options))
    require_usable("DATABASE_URL", database(sslmode="verify-ca", sslrootcert=ca))
    require_usable("DATABASE_URL", {"ENGINE": "django.db.backends.sqlite3"})


def test_a_database_url_that_promises_more_than_it_keeps_is_refused(ca: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL has sslmode=strict; use verify-full"):
        require_usable("DATABASE_URL", database(sslmode="strict"))
    with pytest.raises(ImproperlyConfigured, match="does not have it checked; add sslmode=verify-full"):
        require_usable("DATABASE_URL", database(sslmode="require", sslrootcert=ca))
