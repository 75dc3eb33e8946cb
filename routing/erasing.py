"""Erase a person's payloads wherever there are some: each app names its rows, and an erasure goes through all of them.

An app has a module ``erasable`` with a class for each kind of its rows, which ``manage.py erase`` loads:

    @erasable
    class Letters(Kind):
        kind = "letters"
        model, texts = Letter, ("address", "text")

        def erase(self, row: Letter, term: Term, *, by: str) -> None:
            Letter.objects.filter(pk=row.pk).update(address="", text="")
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Any, ClassVar, TypeVar

from django.db import router, transaction
from django.db.models import Max, Min, Model, Q, QuerySet
from django.db.models.fields import AutoFieldMixin
from django.utils import timezone

from routing import faults, sealing, sensitive
from routing.ledger.erasure_tables import Erasure

PURPOSE = "erasures"
ERASED = "(erased)"
SHORTEST, LONGEST = 4, 320
WINDOW = 10_000
"""Keys that one statement looks through."""
TOGETHER = 100
"""Rows of one transaction."""
_SEALED = re.compile(rf'"{sensitive.SEALED}": *"([^"\\]+)"')


class Unusable(ValueError):
    """Nothing that a person could be found by; the message tells the cure."""


@dataclass(frozen=True)
class Term:
    """What a person is found by: an address, a name, a number. As a word of its own, in capitals or not."""

    text: str

    def __post_init__(self) -> None:
        if not SHORTEST <= len(self.text.strip()) == len(self.text) <= LONGEST or "\0" in self.text:
            raise Unusable(
                f"Give {SHORTEST} to {LONGEST} characters that only this person's rows have, such as an e-mail address."
            )

    @property
    def digest(self) -> str:
        return sealing.digest(self.text.lower(), purpose=PURPOSE)

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """As it stands in text, and in JSON."""
        return tuple(dict.fromkeys([self.text, json.dumps(self.text)[1:-1]]))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # joann@example.org is somebody else, and so is ann@example.org.uk.
        word = "|".join(re.escape(one) for one in self.spellings)
        return re.compile(rf"(?<![\w.+%-])(?:{word})(?![\w-]|\.\w)", re.IGNORECASE)

    def is_in(self, text: str) -> bool:
        """Also where it is sealed in it, as far as its key is there."""
        return bool(self._pattern.search(text)) or any(self._pattern.search(one) for one in _unsealed(text))

    def out_of(self, text: str) -> str:
        return self._pattern.sub(ERASED, text)

    def out_of_value(self, value: Any) -> Any:
        """A value as JSON has it, with the term taken out of its texts."""
        match value:
            case str():
                return self.out_of(value)
            case Mapping():
                return {self.out_of(str(name)): self.out_of_value(each) for name, each in value.items()}
            case list() | tuple():
                return [self.out_of_value(each) for each in value]
            case _:
                return value


def _unsealed(text: str) -> Iterator[str]:
    for found in _SEALED.findall(text):
        try:
            yield sealing.unseal(found, purpose=sensitive.PURPOSE).decode()
        except sealing.SealedOtherwise:
            continue


class Kind:
    """Rows that may hold something of a person. ``texts`` are the columns that are looked through."""

    kind: ClassVar[str]
    model: ClassVar[type[Model]]
    texts: ClassVar[tuple[str, ...]]
    may_be_sealed: ClassVar[bool] = False
    """Whether secret arguments of tasks stand in them."""
    alone: ClassVar[bool] = False
    """Whether ``erase`` has a transaction of its own."""

    def rows(self) -> QuerySet[Any]:
        return self.model._base_manager.using(self.using).all()

    def erase(self, row: Any, term: Term, *, by: str) -> None:
        """Of one row that is held, and mentions the term. Safe to call again."""
        raise NotImplementedError

    @property
    def using(self) -> str:
        return str(router.db_for_write(self.model))

    def mentions(self, row: Any, term: Term) -> bool:
        return any(term.is_in(_text(getattr(row, name))) for name in self.texts)

    def windows(self, term: Term, *, after: str = "") -> Iterator[tuple[list[Any], str]]:
        """The keys of what mentions it, and how far that has come."""
        for window, reached in self._windows(after):
            rows = window.filter(self._may_mention(term)).order_by("pk").only(*self.texts)
            yield [row.pk for row in rows.iterator(chunk_size=TOGETHER) if self.mentions(row, term)], reached

    def _windows(self, after: str) -> Iterator[tuple[QuerySet[Any], str]]:
        if not isinstance(self.model._meta.pk, AutoFieldMixin):
            yield self.rows(), ""
            return
        ends = self.rows().aggregate(first=Min("pk"), last=Max("pk"))
        low = max(int(after or 0), (ends["first"] or 1) - 1)
        while low < (ends["last"] or 0):
            yield self.rows().filter(pk__gt=low, pk__lte=low + WINDOW), str(low + WINDOW)
            low += WINDOW

    def _may_mention(self, term: Term) -> Q:
        asked = [Q(**{f"{name}__icontains": each}) for name in self.texts for each in term.spellings]
        if self.may_be_sealed:
            asked += [Q(**{f"{name}__contains": sensitive.SEALED}) for name in self.texts]
        return reduce(or_, asked)


Made = TypeVar("Made", bound=type[Kind])
KINDS: list[type[Kind]] = []


def erasable(made: Made) -> Made:
    KINDS.append(made)
    return made


def count(term: Term) -> Iterator[tuple[str, int]]:
    """How many rows of each kind mention it; nothing is changed."""
    for kind in KINDS:
        yield kind.kind, sum(len(keys) for keys, _reached in kind().windows(term))


def erase(term: Term, *, by: str, reference: str = "", stopped: Callable[[], bool] = lambda: False) -> Erasure:
    """Go through everything, or on from where the same was stopped. Safe to call again, and to be killed anywhere.

    Not ended where ``stopped`` said so between two batches.
    """
    record = _begin(term, by=by, reference=reference)
    names = [kind.kind for kind in KINDS]
    begin = names.index(record.kind) if record.kind in names else 0
    for kind in KINDS[begin:]:
        if not _go_through(kind(), term, record, stopped=stopped):
            return record
    record.ended_at, record.kind, record.after = timezone.now(), "", ""
    record.save()
    return record


def _begin(term: Term, *, by: str, reference: str) -> Erasure:
    left = Erasure.objects.filter(digest=term.digest, ended_at=None).order_by("pk").last()
    return left or Erasure.objects.create(digest=term.digest, by=by, reference=reference)


def _go_through(kind: Kind, term: Term, record: Erasure, *, stopped: Callable[[], bool]) -> bool:
    after = record.after if record.kind == kind.kind else ""
    record.kind, record.after = kind.kind, after
    for keys, reached in kind.windows(term, after=after):
        for start in range(0, len(keys), TOGETHER):
            if stopped():
                return False
            _erase_some(kind, keys[start : start + TOGETHER], term, record)
        record.after = reached
        record.save(update_fields=["kind", "after"])
    return not stopped()


def _erase_some(kind: Kind, keys: Sequence[Any], term: Term, record: Erasure) -> None:
    """What is gone and how many that were is one transaction, where both lie in one database."""
    with nullcontext() if kind.alone else transaction.atomic(using=kind.using):
        rows = kind.rows().filter(pk__in=keys).order_by("pk")
        held = rows if kind.alone else rows.select_for_update(of=("self",))
        found = [row for row in held if kind.mentions(row, term)]
        for row in found:
            kind.erase(row, term, by=record.by)
        record.counts[kind.kind] = record.counts.get(kind.kind, 0) + len(found)
        record.save(update_fields=["counts", "kind"])
        faults.point("erase.uncommitted")


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    return value if isinstance(value, str) else json.dumps(value, default=str) if value is not None else ""
