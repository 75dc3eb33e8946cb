"""One e-mail for each row of a CSV file: which rows can be sent, and which mailing it is when it comes again."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from notifications import addresses, categories
from notifications.addresses import InvalidAddress
from notifications.categories import Category
from notifications.given import Recipient
from notifications.merge import Merge
from notifications.recipients import Recipients, Row, Unusable
from notifications.tables import Notification
from notifications.templating.rendering import UnusableTemplate

FEW = 5
"""More recipients than that are a mailing, of which it has to be said whether people can unsubscribe from it."""

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Judged(Recipient):
    """A row of the file as a recipient; with a ``problem`` where it is refused."""

    row: Row


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """Rows above ``from_line`` count as sent before."""

    recipients: Recipients
    merge: Merge
    from_line: int = 1
    allow_duplicates: bool = False

    def __iter__(self) -> Iterator[Judged]:
        """The rows to be sent, each judged when it is asked for, and those that are refused."""
        with _Seen() as seen:
            for row in self.recipients:
                judged = self._judged(row, seen)
                if row.line >= self.from_line:
                    yield judged

    def rows(self) -> Iterator[Row]:
        """The same ones, unjudged."""
        return (row for row in self.recipients if row.line >= self.from_line)

    def key(self) -> str:
        """The same for the same file that says the same."""
        said = [self.merge.draft, self.recipients.address, self.from_line]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        with self.recipients.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return f"csv:{digest.hexdigest()}"

    def refused(self, notification: Notification) -> Iterator[tuple[Row, str]]:
        """The rows that it could not be sent to, in whichever run, and why."""
        kept = notification.rejections.order_by("position").values_list("position", "reason").iterator()
        wanted = next(kept, None)
        for position, row in enumerate(self.rows()):
            if wanted is None:
                return
            if position == wanted[0]:
                yield row, wanted[1]
                wanted = next(kept, None)

    def _judged(self, row: Row, seen: "_Seen") -> Judged:
        if row.problem:
            return Judged("", problem=row.problem, row=row)
        to = row.fields[self.recipients.address].strip()
        try:
            address = addresses.parse(to).address
            context = self._context(row)
            problem = self.merge.problem(context)
        except (InvalidAddress, UnusableTemplate) as error:
            return Judged(to, problem=str(error).rstrip("."), row=row)
        if not problem and not self.allow_duplicates and (first := seen.first_line(address, row.line)) != row.line:
            problem = f"{address} is in line {first} already"
        language = self.recipients.values(row).get("language", "")
        return Judged(to, context, language, problem=problem, row=row)

    def _context(self, row: Row) -> dict[str, str]:
        """What is not used is not stored."""
        return {name: value for name, value in self.recipients.values(row).items() if name in self.merge.used}


def require_few(mailing: Mailing) -> None:
    """Raises Unusable where there are more, with the categories to choose from."""
    if sum(1 for _ in islice(mailing.rows(), FEW + 1)) <= FEW:
        return
    listed = "\n".join(f"  --category {one.name:<12} {_about(one)}" for one in categories.registry().values())
    raise Unusable(f"{mailing.recipients.path} has more than {FEW} recipients: say why they are written to.\n{listed}")


def _about(category: Category) -> str:
    refusable = "nobody can unsubscribe from it" if category.required else "recipients can unsubscribe from it"
    return f"{category.title}: {refusable}"


class _Seen(AbstractContextManager["_Seen"]):
    """Which address was in which line: in a temporary file, because a million of them would fill the memory."""

    def __init__(self) -> None:
        # Rows may be asked for in another thread than the first of them.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute("CREATE TABLE seen (address TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def first_line(self, address: str, line: int) -> int:
        """The line that had this address first, in any spelling; this one if none had."""
        key = address.casefold()
        new = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line)).rowcount
        if new:
            return line
        (first,) = self._database.execute("SELECT line FROM seen WHERE address = ?", (key,)).fetchone()
        return int(first)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
