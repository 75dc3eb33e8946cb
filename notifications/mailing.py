"""One e-mail for each row of a CSV file."""

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from celery.exceptions import OperationalError as BrokerError
from django.db import OperationalError

from notifications import addresses, services
from notifications.addresses import InvalidAddress
from notifications.merge import Email, Merge
from notifications.problems import InvalidNotification
from notifications.recipients import LINE, REASON, Recipients, Row, Unusable
from routing.domains import DEFAULT_LANE


@dataclass(frozen=True)
class Outcome:
    """What became of a row: sent as ``message``, or refused for the ``reason``."""

    row: Row
    message: Email | None = None
    reason: str = ""


class Interrupted(Exception):
    """The row of this line could not be enqueued, and none after it was tried; ``str()`` says why."""

    def __init__(self, reason: str, *, line: int) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Mailing:
    """Sends or, where ``dry_run``, only checks. Rows above ``from_line`` count as sent before."""

    recipients: Recipients
    merge: Merge
    lane: str = DEFAULT_LANE
    from_line: int = 1
    allow_duplicates: bool = False
    dry_run: bool = False

    def run(self) -> Iterator[Outcome]:
        """Handle one row at a time, as the outcomes are asked for. Raises Unusable and Interrupted."""
        self.merge.require(self.recipients.names)
        with _Seen() as seen:
            for row in self.recipients:
                outcome = self._composed(row, seen)
                if row.line < self.from_line:
                    continue
                if outcome.message and not self.dry_run:
                    self._send(outcome.message, row.line)
                yield outcome

    def _composed(self, row: Row, seen: "_Seen") -> Outcome:
        if row.problem:
            return Outcome(row, reason=row.problem)
        try:
            to = row.fields[self.recipients.address].strip()
            address = addresses.parse(to).address
            message = self.merge.email(to, self.recipients.values(row))
        except (InvalidAddress, InvalidNotification) as error:
            return Outcome(row, reason=str(error).rstrip("."))
        first = seen.first_line(address, row.line)
        if first != row.line and not self.allow_duplicates:
            return Outcome(row, reason=f"{address} is in line {first} already")
        return Outcome(row, message)

    def _send(self, message: Email, line: int) -> None:
        try:
            services.notify(
                to=message.to, subject=message.subject, text=message.text, html=message.html, lane=self.lane
            )
        except BrokerError as error:
            raise Interrupted(f"the broker cannot be reached ({error})", line=line) from error
        except OperationalError as error:
            raise Interrupted(f"the database cannot be reached ({error})", line=line) from error


class Rejects(AbstractContextManager["Rejects"]):
    """A CSV file of the refused rows, with line and reason in front; corrected, it can be sent as it is."""

    def __init__(self, path: Path, recipients: Recipients) -> None:
        if path.exists() and path.samefile(recipients.path):
            raise Unusable(f"--rejects would overwrite {path}, which is being read. Name another file.")
        self._kept = [number for number, name in enumerate(recipients.columns) if name not in (LINE, REASON)]
        self._width = len(recipients.columns)
        try:
            # With a byte-order mark, by which spreadsheets know UTF-8.
            self._file = path.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise Unusable(f"{path} cannot be written: {error.strerror}.") from None
        self._writer = csv.writer(self._file, delimiter=recipients.delimiter)
        self._writer.writerow([LINE, REASON, *(recipients.columns[number] for number in self._kept)])

    def add(self, outcome: Outcome) -> None:
        fields = outcome.row.fields
        whole = len(fields) == self._width
        self._writer.writerow(
            [outcome.row.line, outcome.reason, *([fields[number] for number in self._kept] if whole else fields)]
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class _Seen(AbstractContextManager["_Seen"]):
    """Which address was in which line: in a temporary file, because a million of them would fill the memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
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
