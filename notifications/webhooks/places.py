"""Where a webhook may go: a URL as people write it, and only networks that are open to it, whatever DNS says.

A name is looked up once, each address that it has is judged, and what is connected to is one of these and not the name:
whoever answers otherwise the next time has nothing of it.
"""

import re
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from routing.errors import PermanentError

MAX_URL = 1000
SETTING = "NOTIFICATIONS_WEBHOOK_NETWORKS"
PORTS = {"https": 443, "http": 80}

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 as networks without it write it (RFC 6052)."""
# Of a cloud's own services, though it is no private address.
_OF_A_CLOUD = frozenset({IPv4Address("168.63.129.16")})
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_MAX_NAME = 253
Ip = IPv4Address | IPv6Address
Found = tuple[socket.AddressFamily, tuple[str, int]]


class Unusable(PermanentError, ValueError):
    """A URL that no webhook can go to; the message tells why, and the cure."""


class Closed(PermanentError):
    """It leads into a network that is not open to webhooks."""


@dataclass(frozen=True)
class Place:
    """A URL, taken apart."""

    is_encrypted: bool
    host: str
    port: int
    target: str
    """Path and query."""

    @property
    def name(self) -> str:
        return f"{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """The header ``Host``."""
        usual = PORTS["https" if self.is_encrypted else "http"]
        return self._bracketed if self.port == usual else self.name

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def read(url: str) -> Place:
    """Raises Unusable, and Closed where it names an address itself that is not open."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or re.search(r'[\s\\"<>^`{|}]', url):
        told = _(
            "The URL has more than {most} characters, a blank, or a character that no URL has; write that one as %20 "
            "is written, and a domain in its xn-- form."
        )
        raise Unusable(told.format(most=MAX_URL))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        told = _("The URL's host or port cannot be read; write one such as https://example.org/hook.")
        raise Unusable(told) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise Unusable(_("The URL has to begin with https:// and a host, such as https://example.org/hook."))
    if "@" in parts.netloc or parts.fragment:
        told = _("The URL has a user name or a #fragment; leave it out: who calls is told by the signature.")
        raise Unusable(told)
    if parts.scheme == "http" and not settings.NOTIFICATIONS_WEBHOOK_NETWORKS:
        told = _("The URL is not encrypted; use https://. http:// is for networks that %(setting)s names.")
        raise Unusable(told % {"setting": SETTING})
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = PORTS[parts.scheme]
    place = Place(parts.scheme == "https", parts.hostname, usual if port is None else port, target)
    _require_host(place)
    return place


def addresses(place: Place, *, seconds: float) -> list[Found]:
    """Those that it may be reached at. Raises Closed if it has none, and OSError where they cannot be looked up."""
    found = _looked_up(place, seconds)
    usable = [one for one in found if _is_open(one[1][0], is_encrypted=place.is_encrypted)]
    if not usable:
        raise _closed(place, found[0][1][0])
    return usable


def _require_host(place: Place) -> None:
    if not place.port > 0:
        raise Unusable(_("The URL's port is 0, which nothing listens at."))
    if ip := _ip(place.host):
        if not _is_open(str(ip), is_encrypted=place.is_encrypted):
            raise _closed(place, str(ip))
    elif len(place.host) > _MAX_NAME or not all(map(_LABEL.match, place.host.rstrip(".").split("."))):
        told = _("%(host)s is no host; write one such as example.org.")
        raise Unusable(told % {"host": repr(place.host[:80])})


def _closed(place: Place, address: str) -> Closed:
    if not place.is_encrypted and _is_open(address, is_encrypted=True):
        told = _("%(host)s is at %(address)s, where plain http is not for webhooks: use https://.")
        return Closed(told % {"host": place.name, "address": address})
    told = _(
        "%(host)s is at %(address)s, which is no public address. If webhooks may go there, name its network in "
        "%(setting)s, such as %(network)s."
    )
    network = _network_of(address)
    return Closed(told % {"host": place.name, "address": address, "setting": SETTING, "network": network})


def _network_of(address: str) -> str:
    ip = ip_address(address.partition("%")[0])
    return f"{_meant(ip)}/{32 if _meant(ip).version == 4 else 128}"


def _is_open(address: str, *, is_encrypted: bool) -> bool:
    ip = _meant(ip_address(address.partition("%")[0]))
    if any(ip in network for network in settings.NOTIFICATIONS_WEBHOOK_NETWORKS):
        return True
    return is_encrypted and ip.is_global and not (ip.is_multicast or ip.is_reserved or ip in _OF_A_CLOUD)


def _meant(ip: Ip) -> Ip:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _ip(host: str) -> Ip | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _looked_up(place: Place, seconds: float) -> list[Found]:
    """In a thread of its own: no time limit reaches a look-up."""
    answer: Future[list[Found]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
            answer.set_result([(family, (str(where[0]), int(where[1]))) for family, _, _, _, where in found])
        except (OSError, ValueError) as error:
            answer.set_exception(OSError(f"its name cannot be looked up: {error}"))

    threading.Thread(target=look_up, name="webhooks", daemon=True).start()
    return answer.result(timeout=seconds)
