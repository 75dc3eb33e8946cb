"""Typed readers of environment variables. A wrong value is one sentence that names the variable and the cure."""

import os
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

T = TypeVar("T")

_NAMESPACE = re.compile(r"[a-z][a-z0-9_]{0,19}\Z")
_CONTACT = re.compile(r"https?://\S+\Z|[^@\s]+@[^@\s]+\Z")
_URL_SECRET = re.compile(r"[A-Za-z0-9_-]{24,}\Z")

_RATE = re.compile(r"([^\s=]+)=([1-9]\d{0,4})/([smh])\Z")

_SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{16,}\Z")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
DATABASE_SCHEMES = ("postgres", "postgresql", "sqlite")
EMAIL_SCHEMES = (
    "smtp",
    "smtp+tls",
    "smtps",
    "smtp+ssl",
    "filemail",
    "consolemail",
    "memorymail",
    "dummymail",
)
PROVIDER_SCHEME = "anymail+"
_SMTP_OPTIONS = {
    "host": ("EMAIL_HOST", "localhost"),
    "port": ("EMAIL_PORT", 25),
    "username": ("EMAIL_HOST_USER", ""),
    "password": ("EMAIL_HOST_PASSWORD", ""),
    "use_tls": ("EMAIL_USE_TLS", False),
    "use_ssl": ("EMAIL_USE_SSL", False),
}
"""Of Django's SMTP backend, with the setting that each stands for. One left out would be taken from that setting."""


class Environment:
    """Reads ``os.environ`` or, in tests, any mapping. Every reader raises ImproperlyConfigured."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name) or default

    def secret(self, name: str) -> str:
        """Empty where there is none. It goes into a header, and must not be guessed."""
        value = self.text(name, "")
        if value and not _SECRET.match(value):
            # Never the value itself: it may be right but for a stray line end.
            cure = "use 16 or more of A-Z, a-z, 0-9, ., _, ~, +, / and -, such as openssl rand -hex 24 prints."
            raise ImproperlyConfigured(f"{name} cannot be used as a token: {cure}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        value = self._variables.get(name)
        if value is None:
            return default
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        raise _wrong(name, value, "use 1 or 0.")

    def integer(self, name: str, default: int, *, lowest: int = 0, highest: int | None = None) -> int:
        value = self._variables.get(name)
        if not value:
            return default
        span = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        try:
            number = int(value)
        except ValueError:
            raise _wrong(name, value, f"use a whole number, {span}.") from None
        if number < lowest or (highest is not None and number > highest):
            raise _wrong(name, value, f"use a whole number, {span}.")
        return number

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise _wrong(name, value, f"use one of {', '.join(choices)}.")
        return value

    def time_zone(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if value not in zoneinfo.available_timezones():
            raise _wrong(name, value, "use a name such as Europe/Paris or UTC.")
        return value

    def namespace(self, name: str) -> str:
        value = self.text(name, "")
        if value and not _NAMESPACE.match(value):
            raise _wrong(name, value, "use a-z, 0-9 and _, beginning with a letter, at most 20, such as staging.")
        return value

    def contact(self, name: str, default: str = "") -> str:
        """Empty where there is none."""
        value = self.text(name, default)
        if value and not _CONTACT.match(value):
            raise _wrong(name, value, "use an e-mail address, or one that begins with https://.")
        return value

    def secrets(self, name: str) -> list[str]:
        """One or, while it is changed, several with spaces between; each may stand in a URL."""
        value = self.text(name, "")
        found = value.split()
        if not all(_URL_SECRET.match(secret) for secret in found):
            raise _wrong(name, "***", "use at least 24 letters, digits, - and _; spaces separate several.")
        return found

    def counts(self, name: str) -> dict[str, int]:
        """Such as ``relay=2 notifications.urgent=4``."""
        value = self.text(name, "")
        found = {}
        for part in value.split():
            key, _, number = part.partition("=")
            if not key or not number.isdecimal():
                raise _wrong(name, value, "use names and whole numbers, such as relay=2 notifications.urgent=4.")
            found[key] = int(number)
        return found

    def rates(self, name: str) -> dict[str, tuple[int, str]]:
        """Such as ``email=50/s email:smtp.example.org:587=600/m``: so many in a second, minute or hour."""
        value = self.text(name, "")
        found: dict[str, tuple[int, str]] = {}
        for part in value.split():
            match = _RATE.match(part)
            if match is None:
                raise _wrong(
                    name,
                    value,
                    f"{part!r} is no rate. Use names with 1 to 99999 in a second, minute or hour, such as "
                    "email=50/s email:smtp.example.org:587=600/m.",
                )
            key = match[1].casefold()
            if key in found:
                raise _wrong(name, value, f"it has {key} twice; leave one out.")
            found[key] = int(match[2]), match[3]
        return found

    def networks(self, name: str) -> list[IPv4Network | IPv6Network]:
        """Such as ``10.20.0.0/16 fd00:20::/32``, with spaces or commas between."""
        value = self.text(name, "")
        found = []
        for part in value.replace(",", " ").split():
            try:
                found.append(ip_network(part))
            except ValueError:
                cure = f"{part!r} is no network. Use such as 10.20.0.0/16, or one address such as 10.20.0.7."
                raise _wrong(name, value, cure) from None
        return found

    def addresses(self, name: str) -> list[str]:
        """E-mail addresses with spaces or commas between."""
        value = self.text(name, "")
        found = value.replace(",", " ").split()
        for address in found:
            try:
                validate_email(address)
            except ValidationError:
                cure = f"{address!r} is no e-mail address. Use such as ops@example.com, with spaces between several."
                raise _wrong(name, value, cure) from None
        return found

    def address_of_web(self, name: str) -> str:
        """An address that requests are sent to; empty where there is none. Its path may be a secret."""
        value = self.text(name, "").strip()
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018  (raises where it is no number)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and value.isascii()
            usable = usable and value.isprintable() and not re.search(r"[\s@]", value)
        except ValueError:
            usable = False
        if value and not usable:
            raise _wrong(name, "***", "use an address such as https://hooks.example.com/a-long-secret.")
        return value

    def port(self, name: str, default: int) -> int:
        return self.integer(name, default, lowest=1, highest=65535)

    def database(self, name: str, default: str) -> dict[str, Any]:
        """A Django database from a URL such as ``postgresql://user:password@host:5432/name``."""
        cure = "use postgresql://user:password@host:5432/name or sqlite:////path/to/file.sqlite3."
        url = self.text(name, default)
        config = self._url(name, url, DATABASE_SCHEMES, environ.Env.db_url_config, cure)
        if not config.get("NAME") or str(config["NAME"]) == ":memory:":
            # Several processes share this database; one in memory belongs to a single one.
            raise _wrong(name, _without_password(url), f"it names no database; {cure}")
        return config

    def email(self, name: str, default: str) -> dict[str, Any]:
        """Django's e-mail settings from a URL such as ``smtp+tls://user:password@host:587``."""
        url = self.text(name, default)
        if url.startswith(PROVIDER_SCHEME):
            provider, options = self._provider(name, url)
            known = {f"{provider}_{option}".upper(): value for option, value in options.items()}
            return {"EMAIL_BACKEND": f"anymail.backends.{provider}.EmailBackend", "ANYMAIL": known}
        cure = (
            "use smtp://host:25, smtp+tls://user:password@host:587, smtps://user:password@host:465, "
            "filemail:///folder or anymail+mailgun://?api_key=…."
        )
        # environ calls implicit TLS smtp+ssl; people know it as smtps.
        known_url = f"smtp+ssl{url[5:]}" if url.startswith("smtps:") else url
        config = self._url(name, known_url, EMAIL_SCHEMES, environ.Env.email_url_config, cure)
        config.pop("OPTIONS", None)
        if "smtp" in known_url.partition(":")[0]:
            if not config["EMAIL_HOST"]:
                raise _wrong(name, _without_password(url), f"it names no host; {cure}")
            config["EMAIL_PORT"] = config["EMAIL_PORT"] or (465 if config.get("EMAIL_USE_SSL") else 25)
        return {setting: value for setting, value in config.items() if value is not None}

    def email_lanes(self, prefix: str, lanes: Iterable[str]) -> dict[str, dict[str, Any]]:
        """For each lane that has an e-mail URL of its own: what ``django.core.mail.get_connection`` is called with."""
        names = {f"{prefix}{lane.upper()}": lane for lane in lanes}
        given = sorted(name for name, value in self._variables.items() if name.startswith(prefix) and value)
        for name in given:
            if name not in names:
                raise ImproperlyConfigured(f"{name} names no lane of the notifications; use one of {', '.join(names)}.")
        return {names[name]: self._connection(name) for name in given}

    def _connection(self, name: str) -> dict[str, Any]:
        url = self.text(name, "")
        if url.startswith(PROVIDER_SCHEME):
            provider, options = self._provider(name, url)
            return {"backend": f"anymail.backends.{provider}.EmailBackend", **options}
        config = self.email(name, "")
        backend = {"backend": config["EMAIL_BACKEND"]}
        if "smtp" in url.partition(":")[0]:
            return backend | {option: config.get(*setting) for option, setting in _SMTP_OPTIONS.items()}
        return backend | ({"file_path": config["EMAIL_FILE_PATH"]} if url.startswith("filemail") else {})

    def _provider(self, name: str, url: str) -> tuple[str, dict[str, str]]:
        """Its name as django-anymail has it, and its settings there in small letters, each once after the ``?``."""
        scheme, _, rest = url.partition("://")
        provider, shown = scheme.removeprefix(PROVIDER_SCHEME), f"{scheme}://?…"
        if find_spec("anymail") is None:
            raise _wrong(name, shown, "django-anymail is not installed: pip install 'taskyard[providers]'.")
        if not re.fullmatch(r"[a-z_]+", provider) or find_spec(f"anymail.backends.{provider}") is None:
            raise _wrong(name, shown, "django-anymail knows no such provider; use a name such as anymail+mailgun.")
        place, _, query = rest.partition("?")
        options = dict(parse_qsl(query))
        if place.strip("/") or not options:
            cure = f"write the provider's settings behind a question mark, such as {scheme}://?api_key=…."
            raise _wrong(name, shown, cure)
        return provider, options

    def broker(self, name: str, default: str) -> str:
        """An AMQP URL, or several separated by ``;`` for the nodes of a cluster."""
        value = self.text(name, default)
        for url in value.split(";"):
            self._url(
                name,
                url,
                ("amqp", "amqps", "pyamqp"),
                lambda _: {},
                "use amqp://user:password@host:5672/vhost, or with TLS amqps://user:password@host:5671/vhost.",
            )
        return value

    def _url(
        self, name: str, url: str, schemes: tuple[str, ...], parse: Callable[[str], dict[str, Any]], cure: str
    ) -> dict[str, Any]:
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018  (raises where it is no number)
            if parts.scheme not in schemes:
                raise ValueError
            return parse(url)
        except (ValueError, KeyError, ImproperlyConfigured):
            raise _wrong(name, _without_password(url), cure) from None


def _wrong(name: str, value: str, cure: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}={value!r} cannot be used; {cure}")


def _without_password(url: str) -> str:
    url = re.sub(r"=[^&]*", "=***", url) if "?" in url else url
    credentials, at, host = url.rpartition("@")
    scheme, slashes, login = credentials.rpartition("://")
    user, colon, _ = login.partition(":")
    return f"{scheme}{slashes}{user}:***@{host}" if at and colon else url
