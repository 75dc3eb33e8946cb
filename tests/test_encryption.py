"""What the settings say of TLS, right and wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from project.encryption import broker_ca, broker_certificate, broker_login, require_usable
from tests.certificates import PEM, Authority, Signed, private_bytes

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


@pytest.fixture
def ours(tmp_path: Path) -> Signed:
    return Authority(tmp_path, "ours").sign_client("taskyard")


def identity(signed: Signed, *, url: str = SECURE) -> tuple[str | None, str | None]:
    return broker_certificate(str(signed.certificate), str(signed.key), broker_url=url)


def test_a_certificate_goes_with_its_key(ours: Signed) -> None:
    assert identity(ours) == (str(ours.certificate), str(ours.key))
    assert broker_certificate("", "", broker_url=PLAIN) == (None, None)


def test_one_of_certificate_and_key_alone_is_refused(ours: Signed) -> None:
    with pytest.raises(ImproperlyConfigured, match="BROKER_CERTIFICATE is set without BROKER_KEY; set both"):
        broker_certificate(str(ours.certificate), "", broker_url=SECURE)
    with pytest.raises(ImproperlyConfigured, match="BROKER_KEY is set without BROKER_CERTIFICATE; set both"):
        broker_certificate("", str(ours.key), broker_url=SECURE)


def test_a_certificate_for_a_broker_without_tls_is_refused(ours: Signed) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"asks for no TLS; begin it with amqps://."):
        identity(ours, url=PLAIN)


def test_a_key_of_another_certificate_is_refused(ours: Signed, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other").sign_client("somebody")

    with pytest.raises(ImproperlyConfigured, match=f"BROKER_KEY={other.key} does not belong to BROKER_CERTIFICATE="):
        identity(replace(ours, key=other.key))


def test_a_key_of_another_kind_is_refused_as_one_that_does_not_belong_to_the_certificate(
    ours: Signed, tmp_path: Path
) -> None:
    other = tmp_path / "rsa.key"
    other.write_bytes(private_bytes(rsa.generate_private_key(65537, 2048), serialization.NoEncryption()))

    with pytest.raises(ImproperlyConfigured, match=f"BROKER_KEY={other} does not belong to BROKER_CERTIFICATE="):
        identity(replace(ours, key=other))


def test_a_certificate_that_openssl_finds_too_weak_is_told_as_that(tmp_path: Path) -> None:
    weak = Signed(tmp_path / "weak.crt", tmp_path / "weak.key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505  (as weak as it has to be)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = builder.not_valid_before(now).not_valid_after(now + timedelta(hours=1)).sign(key, hashes.SHA256())
    weak.certificate.write_bytes(made.public_bytes(PEM))
    weak.key.write_bytes(private_bytes(key, serialization.NoEncryption()))

    with pytest.raises(ImproperlyConfigured, match=f"BROKER_CERTIFICATE={weak.certificate} is too weak for OpenSSL"):
        identity(weak)


def test_files_that_are_no_certificate_and_no_key_are_refused(ours: Signed, tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    with pytest.raises(ImproperlyConfigured, match=f"BROKER_CERTIFICATE={gone} cannot be used: No such file"):
        identity(replace(ours, certificate=gone))
    with pytest.raises(ImproperlyConfigured, match=f"BROKER_KEY={gone} cannot be used: No such file"):
        identity(replace(ours, key=gone))
    with pytest.raises(ImproperlyConfigured, match=f"BROKER_CERTIFICATE={ours.key} holds no certificate"):
        identity(replace(ours, certificate=ours.key))
    with pytest.raises(ImproperlyConfigured, match=f"BROKER_KEY={ours.certificate} holds no private key"):
        identity(replace(ours, key=ours.certificate))


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(ours: Signed) -> None:
    key = serialization.load_pem_private_key(ours.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ours.key.write_bytes(private_bytes(key, serialization.BestAvailableEncryption(b"opens")))

    with pytest.raises(ImproperlyConfigured, match="is locked by a passphrase, and nobody is there to type it"):
        identity(ours)


def test_a_login_by_certificate_needs_one_and_no_user_beside_it() -> None:
    nobody = SECURE.replace("me:secret@", "")

    assert broker_login("password", certificate=None, broker_url=SECURE) is None
    assert broker_login("certificate", certificate="/some.crt", broker_url=nobody) == "EXTERNAL"
    with pytest.raises(ImproperlyConfigured, match="needs one; set BROKER_CERTIFICATE and BROKER_KEY"):
        broker_login("certificate", certificate=None, broker_url=nobody)
    with pytest.raises(ImproperlyConfigured, match="leave user and password out of BROKER_URL") as refused:
        broker_login("certificate", certificate="/some.crt", broker_url=f"{nobody};{SECURE}")
    assert "secret" not in str(refused.value)


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
