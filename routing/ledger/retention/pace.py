"""Pace: how many rows the next batch looks at, so that its transaction stays short, and how long to rest after it."""

TARGET = 0.3
"""Seconds of a transaction, much of which is waiting for answers where the machine is busy."""
LIMIT = 0.7
"""Seconds that one statement may take: what takes longer is undone, and tried with fewer rows."""
FIRST, LEAST, MOST = 1_000, 10, 10_000
REST = 2.2
"""Times as long as the transaction took, so that the clean-up takes a fixed share of the database, however slow."""


class Pace:
    def __init__(self, *, rows: int = FIRST, most: int = MOST, rest: float = REST) -> None:
        self.rows = self._first = min(rows, most)
        self._most = most
        self._rest = rest

    @property
    def limit(self) -> float | None:
        """None for the least that can be done, which takes as long as it takes."""
        return LIMIT if self.rows > LEAST else None

    def begin(self) -> None:
        """With another kind, of which nothing is known yet."""
        self.rows = self._first

    def took(self, seconds: float) -> float:
        """Tell how long the batch took; returns for how long to rest."""
        wanted = self.rows * TARGET / max(seconds, 1e-6)
        # A single slow batch may have waited for the disk; a quick one says little about the next.
        self.rows = int(min(max(wanted, self.rows / 4, LEAST), self.rows * 1.5 + 1, self._most))
        return seconds * self._rest

    def took_too_long(self) -> None:
        """It was undone."""
        self.rows = max(self.rows // 4, LEAST)
