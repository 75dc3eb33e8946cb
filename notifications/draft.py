"""What a caller wants to say, checked as a whole before anything is stored."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.crypto import salted_hmac

from notifications import attachments, categories, channels, content, languages
from notifications.attachments import Checked, Given
from notifications.lanes import lanes
from notifications.problems import InvalidNotification, Problem
from notifications.tables import Notification
from notifications.templating import versions
from notifications.templating.rendering import UnusableTemplate
from notifications.templating.retiring import Retired
from notifications.templating.tables import TemplateVersion
from routing import moments
from routing.domains import DEFAULT_LANE

MAX_KEY = 200


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The words of ``notifications.notify``, but for the recipients."""

    template: str | None = None
    subject: str = ""
    text: str = ""
    html: str = ""
    is_merge: bool = False
    context: Mapping[str, Any] = field(default_factory=dict)
    channel: str = "email"
    lane: str = DEFAULT_LANE
    category: str = field(default_factory=categories.default)
    key: str | None = None
    send_at: datetime | None = None
    from_email: str | None = None
    reply_to: Sequence[str] = ()
    attachments: Sequence[Given] = ()
    created_by: str = ""
    language: str = ""
    """What recipients read who bring no language of their own."""
    recipients: str = ""
    """A digest of them, where the caller knows them all: then the same key with others is told apart, too."""

    def checked(self, *, is_filled_in_later: bool = False) -> Notification:
        """The row that it becomes, not yet stored. Raises InvalidNotification, which lists all that is wrong.

        ``is_filled_in_later`` where recipients bring values of their own: what the common ones make is not what any of
        them reads.
        """
        self._require_channel()
        version = self._version()
        if found := list(self._problems(version, is_filled_in_later=is_filled_in_later)):
            raise InvalidNotification(found)
        secret = version.secret if version else frozenset()
        return Notification(
            key=self.key,
            fingerprint=self.fingerprint,
            channel=self.channel,
            category=self.category,
            lane=self.lane,
            template=version,
            is_merge=self.is_merge,
            subject=self.subject,
            text=self.text,
            html=self.html,
            context=versions.masked(self.context, secret),
            from_email=self.sender,
            reply_to=list(self.reply_to),
            language=languages.nearest(self.language),
            send_at=self.send_at,
            created_by=self.created_by,
        )

    @property
    def sender(self) -> str:
        return self.from_email or settings.DEFAULT_FROM_EMAIL

    @property
    def fingerprint(self) -> str:
        """Two calls with the same one ask for the same. Keyed, since a secret value may be among them."""
        names = {one.name for one in fields(self)} - {"key", "created_by", "attachments"}
        asked = {name: getattr(self, name) for name in names}
        # As the release before asked, which knew of none.
        if not self.language:
            del asked["language"]
        asked["attachments"] = [(file.name, file.content_type, file.digest) for file in self.files]
        return salted_hmac("notifications.draft", _json(asked), algorithm="sha256").hexdigest()

    @property
    def files(self) -> Sequence[Checked]:
        return self._files[0]

    @cached_property
    def _files(self) -> tuple[list[Checked], list[Problem]]:
        return attachments.check(self.attachments)

    def _require_channel(self) -> None:
        try:
            channel = channels.get(self.channel)
        except LookupError as error:
            raise InvalidNotification([Problem("channel", str(error))]) from None
        if self.attachments and not channel.takes_files:
            raise InvalidNotification(
                [Problem("attachments", f"cannot go by {channel.title}; leave them out, and give a link instead.")]
            )

    def _version(self) -> TemplateVersion | None:
        if self.template is None:
            return None
        try:
            version = versions.newest(self.template)
        except LookupError as error:
            raise InvalidNotification([Problem("template", str(error))]) from None
        if version.template.retired_at:
            raise Retired(version.template)
        return version

    def _problems(self, version: TemplateVersion | None, *, is_filled_in_later: bool) -> Iterator[Problem]:
        yield from self._address_problems()
        yield from self._time_problems()
        yield from self._files[1]
        if version and version.secret and not channels.get(self.channel).takes_secrets:
            yield Problem("template", f"{self.template!r} has secret variables, and this channel would keep them.")
        if version is None:
            yield from self._said_problems()
        elif self.subject or self.text or self.html:
            yield Problem("template", "says what is sent; leave out subject, text and html, or the template.")
        try:
            written = _json(self.context)
        except (TypeError, ValueError) as error:
            yield Problem("context", f"cannot be stored as JSON: {error}.")
            return
        yield from self._storage_problems(written)
        if version is None or is_filled_in_later:
            return
        # What is missing is told of each recipient.
        if not versions.missing(version, values := json.loads(written)):
            yield from versions.problems(
                version, values, channel=self.channel, sender=self.sender, language=languages.nearest(self.language)
            )

    def _storage_problems(self, context: str) -> Iterator[Problem]:
        """What PostgreSQL would not take."""
        if "\0" in self.html:
            yield Problem("html", "has a NUL, which no mail can carry; take it out.")
        if "\\u0000" in context:
            yield Problem("context", "has a NUL in one of its values; take it out.")

    def _address_problems(self) -> Iterator[Problem]:
        if self.lane not in lanes():
            yield Problem("lane", f"{self.lane!r} does not exist; use one of {', '.join(lanes())}.")
        try:
            categories.get(self.category)
        except categories.UnknownCategory as error:
            yield Problem("category", str(error))
        if self.language and not languages.nearest(self.language):
            yield Problem("language", f"{self.language!r} is not spoken here; use one of {', '.join(_languages())}.")
        if self.key is not None and not (0 < len(self.key) <= MAX_KEY and self.key.isprintable()):
            yield Problem("key", f"must be 1 to {MAX_KEY} printable characters.")

    def _time_problems(self) -> Iterator[Problem]:
        if self.send_at is None:
            return
        if timezone.is_naive(self.send_at):
            yield Problem("send_at", "has no time zone; give an aware datetime.")
        elif abs(self.send_at - timezone.now()) > moments.FARTHEST:
            yield Problem("send_at", "is more than 100 years away.")

    def _said_problems(self) -> Iterator[Problem]:
        channel = channels.get(self.channel)
        said = content.Content(self.subject, self.text, self.html)
        if not self.is_merge:
            said = content.finished(self.subject, self.text, self.html)
        else:
            try:
                versions.check(self.subject, self.text, self.html)
            except UnusableTemplate as error:
                yield Problem("text", str(error))
        yield from channel.problems(
            subject=said.subject,
            text=said.text or said.html,
            html=said.html,
            sender=self.sender,
            reply_to=self.reply_to,
        )


def _languages() -> list[str]:
    return [code for code, _name in settings.LANGUAGES]


def _json(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, sort_keys=True, allow_nan=False)
