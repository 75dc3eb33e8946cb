"""A CSV file of the refused rows, with line and reason in front; corrected, it can be sent as it is."""

import csv
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from notifications.recipients import LINE, REASON, Recipients, Row, Unusable, shown


class Rejects(AbstractContextManager["Rejects"]):
    """Opened before anything is sent: a file that cannot be written is told in time."""

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
        self._write([LINE, REASON, *(recipients.columns[number] for number in self._kept)])

    def add(self, row: Row, reason: str) -> None:
        whole = len(row.fields) == self._width
        kept = [row.fields[number] for number in self._kept] if whole else row.fields
        self._write([str(row.line), reason, *kept])

    def _write(self, cells: list[str]) -> None:
        self._writer.writerow(map(shown, cells))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
