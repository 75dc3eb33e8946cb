"""What every channel is: it reads addresses, checks what is to be said, and hands one delivery over."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.utils.functional import Promise

from notifications.problems import Problem
from notifications.tables import Attempt
from routing.errors import TransientError


@dataclass(frozen=True)
class Address:
    """Where one recipient is reached."""

    written: str
    """As it was given, with its name if it has one."""
    key: str
    """The address alone, in the one spelling by which it is looked up and suppressed."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that goes with a message."""

    name: str
    content: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """All that a channel needs to reach one recipient."""

    id: str
    """The same whenever the same delivery is sent."""
    address: str
    subject: str
    text: str
    html: str
    sender: str
    lane: str
    address_key: str = ""
    category: str = ""
    delivery: int = 0
    reply_to: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[File] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    """What its caller gave of values, for a channel whose readers are programs."""
    asked_at: datetime | None = None
    """When its notification was asked for."""


@dataclass(frozen=True)
class Answer:
    """What the other side said of one delivery."""

    outcome: Attempt.Outcome
    """ACCEPTED, TEMPORARY or PERMANENT; the others are a channel's exceptions."""
    text: str = ""
    code: int | None = None
    retry_after: timedelta | None = None
    """Where the other side said when to come back."""
    blames_address: bool = False
    """Refused for good because of the recipient: nothing will ever reach it."""
    is_for_all: bool = False
    """Refused for now whoever it is for, such as by a host that is closing: it counts as down."""


class Unreachable(TransientError):
    """The other side was not reached, lets nobody in, or broke off before it was handed all: it has got nothing."""


class Uncertain(TransientError):
    """It broke off after it was handed the message: whether it has taken it, nobody knows."""


class Channel(Protocol):
    name: str
    has_footer: bool
    """Whether the links to unsubscribe stand under what it says."""
    takes_files: bool
    takes_values: bool
    """Whether values are of use without a template."""
    takes_secrets: bool
    """Whether it hands on what a template marks secret, and keeps nothing of it."""

    @property
    def title(self) -> str | Promise:
        """As the admin calls it."""

    def address(self, text: str) -> Address:
        """Raises InvalidAddress, which tells why."""

    def key(self, text: str) -> str:
        """The one spelling by which it is looked up, whether it is there or not. Raises InvalidAddress."""

    def known(self, text: str) -> str:
        """The key of whom it names, where there are names to know; empty where there is nobody of that name."""

    def problems(
        self, *, subject: str, text: str, html: str, sender: str, reply_to: Sequence[str]
    ) -> Iterator[Problem]:
        """What is wrong with what is to be said."""

    def host(self, address_key: str, *, lane: str) -> str:
        """Whom it is handed to, such as ``smtp.example.org:587``: what has a limit and a circuit of its own.

        Opens nothing, and raises nothing but what the database does.
        """

    def hosts(self, *, lane: str) -> Collection[str]:
        """Those that the settings name, whoever is written to. Asks nobody."""

    def headers(self, message: Message) -> Sequence[tuple[str, str]]:
        """Those that people ask about."""

    def source(self, message: Message) -> File:
        """All of it as it goes out, as a file to keep."""

    def text(self, message: Message) -> str:
        """What of it is to be read on a page."""

    def send(self, message: Message, *, handing_over: Callable[[], Any]) -> Answer:
        """Reach one recipient. Calls ``handing_over`` at the last moment before the message may take effect.

        Lets through what ``handing_over`` raises; then nothing may take effect. Raises Unreachable where nobody has got
        anything for certain, and Uncertain, once ``handing_over`` has been called, where that is not known.
        """
