"""A host that is down is left alone by all workers, but for one delivery at a time that tries whether it is back.

Failures count in a row: a success in between, by any process, ends the row. Nothing here is needed to keep a delivery:
what cannot be written down is logged, and seen anew with the next failure.
"""

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError

from notifications.pacing.gate_rows import Seen, seconds_sql
from routing.ledger import database

logger = logging.getLogger(__name__)

FAILURES = 5
"""In a row, and the circuit opens."""
FIRST_PAUSE, LONGEST_PAUSE, JITTER = 15.0, 300.0, 0.1
"""Seconds until the host is tried; doubled with each try in vain, and the share of them that is left to chance."""
PROBE = 60.0
"""Seconds after which a try that was not heard of has died: longer than a delivery may take."""
WHILE_PROBING = 3.0
"""Seconds for which others wait while one tries."""
RETURN_EVERY = 0.01
"""Seconds between two that come back to a host without a limit: so many do not all return in one instant."""
KNOWN_FOR = 1.0
"""Seconds for which a process goes by what it has seen."""


@dataclass
class _Known:
    """What this process knows of a host without asking."""

    seen_at: float = float("-inf")
    succeeded_at: float = float("-inf")
    is_troubled: bool = False


class _Mine(threading.local):
    probe: Seen | None = None


_known: defaultdict[str, _Known] = defaultdict(_Known)
_mine = _Mine()


def is_known_well(name: str) -> bool:
    """Whether it answered, or its circuit was closed, a moment ago."""
    known = _known[name]
    return not known.is_troubled and time.monotonic() - known.seen_at < KNOWN_FOR


def begin() -> None:
    """A delivery that was to try, and never came to it, has no say in what the next one finds."""
    _mine.probe = None


def saw(gate: Seen) -> None:
    known = _known[gate.name]
    known.seen_at, known.is_troubled = time.monotonic(), gate.is_open or gate.failures > 0


def waits(gate: Seen) -> float:
    """Seconds until the host may be tried; 0 where it may be now."""
    if not gate.is_open:
        return 0.0
    return max(min(gate.probe_in, WHILE_PROBING) if gate.is_probing else gate.probe_in, 0.0)


def probe(gate: Seen) -> bool:
    """Be the one that tries. False if another one is."""
    won = database.execute(
        f"""
        UPDATE notifications_gate SET probe_at = {seconds_sql()} + %s, is_probing = TRUE
        WHERE name = %s AND opened_at IS NOT NULL AND probe_at <= {seconds_sql()}
        """,
        [PROBE, gate.name],
    )
    _mine.probe = gate if won else None
    return bool(won)


def failed(name: str, error: str) -> None:
    mine, _mine.probe = _mine.probe, None
    known = _known[name]
    is_first = time.monotonic() - known.succeeded_at < KNOWN_FOR
    known.is_troubled = True
    if mine is not None and mine.name == name:
        _written(lambda: _failed_again(mine, error))
    else:
        _written(lambda: _failed(name, error, is_first=is_first))


def succeeded(name: str) -> None:
    _mine.probe = None
    known = _known[name]
    known.succeeded_at = time.monotonic()
    if known.is_troubled:
        _written(lambda: close(name))
        known.is_troubled = False


def close(name: str) -> bool:
    """As if it had never failed. Whether its circuit was open."""
    reset = "SET failures = 0, opened_at = NULL, probe_at = 0, is_probing = FALSE, probes = 0, error = ''"
    if database.execute(f"UPDATE notifications_gate {reset} WHERE name = %s AND opened_at IS NOT NULL", [name]):
        logger.info("%s answers again; what waits for it goes out", name)
        return True
    database.execute(f"UPDATE notifications_gate {reset} WHERE name = %s AND failures > 0", [name])
    return False


def probe_now(name: str) -> bool:
    """Have the next delivery try it. False where the circuit is closed."""
    changed = database.execute(
        f"UPDATE notifications_gate SET probe_at = {seconds_sql()}, is_probing = FALSE "
        "WHERE name = %s AND opened_at IS NOT NULL",
        [name],
    )
    return bool(changed)


def _failed(name: str, error: str, *, is_first: bool) -> None:
    (row,) = database.rows(
        f"""
        INSERT INTO notifications_gate (name, next_at, failures, probe_at, is_probing, probes, error)
        VALUES (%s, 0, 1, 0, FALSE, 0, %s)
        ON CONFLICT (name) DO UPDATE
        SET failures = {"1" if is_first else "notifications_gate.failures + 1"}, error = excluded.error
        RETURNING failures, opened_at
        """,
        [name, error],
    )
    if row["failures"] >= FAILURES and row["opened_at"] is None and _opened(name):
        logger.warning("%s is left alone, for it has failed %d times in a row: %s", name, row["failures"], error)


def _opened(name: str) -> bool:
    changed = database.execute(
        f"""
        UPDATE notifications_gate
        SET opened_at = {database.now_sql()}, probe_at = {seconds_sql()} + %s, is_probing = FALSE, probes = 0
        WHERE name = %s AND opened_at IS NULL AND failures >= %s
        """,
        [_pause(0), name, FAILURES],
    )
    return bool(changed)


def _failed_again(gate: Seen, error: str) -> None:
    pause = _pause(gate.probes + 1)
    changed = database.execute(
        f"""
        UPDATE notifications_gate
        SET probes = probes + 1, probe_at = {seconds_sql()} + %s, is_probing = FALSE, error = %s
        WHERE name = %s AND opened_at IS NOT NULL AND probes = %s
        """,
        [pause, error, gate.name, gate.probes],
    )
    if changed:
        logger.warning("%s is still down, and tried again in %.0f s: %s", gate.name, pause, error)


def _pause(probes: int) -> float:
    chance = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return min(FIRST_PAUSE * float(1 << min(probes, 10)), LONGEST_PAUSE) * chance


def _written(write: Callable[[], object]) -> None:
    """A delivery's own end is what must be written, and comes after this."""
    try:
        write()
    except (DatabaseError, InterfaceError) as error:
        if database.connection().in_atomic_block:
            raise
        logger.warning("How a host answered cannot be written down: %s", error)
        database.connection().close()
