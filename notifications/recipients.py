"""A CSV file of recipients, read row by row: whatever its encoding, delimiter and size, each row knows its line."""

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TextIO

DELIMITERS = ",;\t|"
SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
REASON, LINE = "refused because", "refused in line"
"""Columns that a file of refused rows has in front; reading it again ignores them."""

_CHUNK = 1 << 20
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that a spreadsheet would take for a formula, and run; or one that was kept from it."""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Unusable(Exception):
    """Nothing can be sent with this file or template; the message tells why and the cure."""


@dataclass(frozen=True)
class Row:
    """One recipient. ``problem`` says why the row cannot be read; ``last_line`` differs if a field spans lines."""

    line: int
    last_line: int
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """The rows below the heading. Iterating reads the file anew, one row at a time."""

    path: Path
    encoding: str
    delimiter: str
    columns: list[str]
    """As in the heading."""
    address: int
    """Which column has the address."""
    lines: int
    """Of the whole file."""

    @property
    def names(self) -> list[str]:
        """What templates call the columns: ``First name`` is ``first_name``."""
        return [variable(column) for column in self.columns]

    def __iter__(self) -> Iterator[Row]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            rows = _rows(file, self.delimiter)
            next(rows)
            for row in rows:
                yield self._judged(self._as_given(row))

    def values(self, row: Row) -> dict[str, str]:
        return {name: field.strip() for name, field in zip(self.names, row.fields, strict=True)}

    def _as_given(self, row: Row) -> Row:
        if REASON not in self.columns:
            return row
        return replace(row, fields=[unshown(field) for field in row.fields])

    def _judged(self, row: Row) -> Row:
        found, wanted = len(row.fields), len(self.columns)
        if row.problem or found == wanted:
            return row
        cure = "; put a field that contains the delimiter into quotes" if found > wanted else ""
        problem = f"it has {found} field{'s'[: found != 1]} where the heading has {wanted}{cure}"
        return Row(row.line, row.last_line, row.fields, problem)


def read(path: Path, *, column: str = "email") -> Recipients:
    """Find out how the file is written. Raises Unusable."""
    encoding, lines = _inspect(path)
    delimiter = _delimiter(path, encoding, column)
    with path.open(encoding=encoding, newline="") as file:
        heading = next(_rows(file, delimiter), None)
    if heading is None:
        raise Unusable(f"{path} has no rows. Its first line must name the columns, {column!r} among them.")
    if heading.problem:
        raise Unusable(f"The heading of {path} cannot be read: {heading.problem}.")
    columns = [name.strip() for name in heading.fields]
    if REASON in columns:
        columns = [unshown(name) for name in columns]
    return Recipients(
        path=path,
        encoding=encoding,
        delimiter=delimiter,
        columns=columns,
        address=_address_column(columns, column),
        lines=lines,
    )


def shown(cell: str) -> str:
    """As it may be written where a spreadsheet will read it: an apostrophe in front makes it a text."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unshown(cell: str) -> str:
    """What ``shown`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def variable(column: str) -> str:
    return re.sub(r"\W+", "_", column.strip().lower()).strip("_")


def _inspect(path: Path) -> tuple[str, int]:
    """The file's encoding and number of lines; reads it once, in pieces."""
    if path.exists() and not path.is_file():
        raise Unusable(f"{path} is no file. Save the recipients in one and give its name.")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            return _try_encodings(file, _candidates(head, path))
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from None


def _candidates(head: bytes, path: Path) -> tuple[str, ...]:
    if head.startswith(SPREADSHEETS):
        raise Unusable(f"{path} is a spreadsheet. Save it as CSV (UTF-8) and give that file.")
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return (encoding,)
    if b"\0" in head:
        # ASCII letters in UTF-16 have a zero byte after, or before, each.
        return ("utf-16-le",) if head[1::2].count(0) > head[::2].count(0) else ("utf-16-be",)
    return ("utf-8", "cp1252", "latin-1")


def _try_encodings(file: BinaryIO, encodings: Iterable[str]) -> tuple[str, int]:
    for encoding in encodings:
        decoder = codecs.getincrementaldecoder(encoding)()
        file.seek(0)
        try:
            pieces = iter(lambda: file.read(_CHUNK), b"")
            lines = sum(decoder.decode(piece).count("\n") for piece in pieces)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding, lines
    raise Unusable(f"{file.name} is no text that can be read. Save it as CSV (UTF-8).")


def _delimiter(path: Path, encoding: str, column: str) -> str:
    """The one that finds the wanted column in the heading; among several, the one that finds most columns."""

    def worth(delimiter: str) -> tuple[bool, int]:
        with path.open(encoding=encoding, newline="") as file:
            heading = next(_rows(file, delimiter), None)
        names = heading.fields if heading else []
        return column.casefold() in [name.strip().casefold() for name in names], len(names)

    return max(DELIMITERS, key=worth)


def _address_column(columns: list[str], wanted: str) -> int:
    names = [name.casefold() for name in columns]
    listed = ", ".join(filter(None, columns))
    if wanted.casefold() not in names:
        if any("@" in name for name in columns):
            raise Unusable(f"The first line must name the columns, but it seems to be a recipient already: {listed}.")
        raise Unusable(f"There is no column {wanted!r}; the columns are {listed}. Name the right one with --column.")
    variables = list(filter(None, map(variable, columns)))
    if len(set(variables)) < len(variables):
        raise Unusable(
            f"Two columns have the same name, or one that templates cannot tell apart: {listed}. Rename one."
        )
    return names.index(wanted.casefold())


class _Lines:
    """The lines of a file, counted, which can be put back up to a mark."""

    def __init__(self, file: TextIO) -> None:
        self._file = iter(file)
        self._since_mark: list[str] = []
        self._put_back: deque[str] = deque()
        self.count = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._put_back.popleft() if self._put_back else next(self._file)
        self._since_mark.append(line)
        self.count += 1
        return line

    def mark(self) -> None:
        self._since_mark.clear()

    def put_back(self) -> None:
        """All since the mark but the first."""
        self._put_back.extendleft(reversed(self._since_mark[1:]))
        self.count -= len(self._since_mark) - 1


def _rows(file: TextIO, delimiter: str) -> Iterator[Row]:
    """All rows but empty ones. A row that cannot be read is one, too, and what follows it is read on."""
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.mark()
        first = lines.count + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quotation mark that is never closed swallows whatever follows: only its own line is to blame.
            lines.put_back()
            yield Row(first, first, [], f"its quotation marks are wrong ({error}); double those inside a quoted field")
            continue
        if any(field.strip() for field in fields):
            yield Row(first, lines.count, fields)
