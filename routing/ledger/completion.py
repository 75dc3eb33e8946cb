"""An outcome together with its continuation: what follows is written if, and only if, the outcome is."""

from collections.abc import Callable
from operator import attrgetter

from routing.ledger import database
from routing.ledger.continuation import Continuation, Counter, Part
from routing.ledger.enqueue import enqueue
from routing.ledger.settle import Fence, Outcome, settle, store_aside
from routing.ledger.unique import admitted

FinishChord = Callable[[Part, str], Continuation]
"""From a chord's last member and its results' tuples (JSON) to what the chord continues with."""


def complete(fence: Fence, outcome: Outcome, continuation: Continuation, *, finish_chord: FinishChord) -> bool:
    """Settle, with all of the continuation. False if the row is no longer ours: then nothing at all is written.

    One transaction, and on PostgreSQL one round trip where no chord and no unique key is involved. Safe to call again.
    """
    if not (continuation.counters or continuation.results or continuation.parts or continuation.keys):
        return settle(fence, outcome, continuation.envelopes)
    with database.atomic():
        # First, as it frees the task's own key for what follows, and no key is taken for an outcome that is discarded.
        if not settle(fence, outcome):
            return False
        write(continuation, finish_chord=finish_chord)
    return True


def write(continuation: Continuation, *, finish_chord: FinishChord) -> None:
    """Inside a transaction: counters before the members that count them down, tasks, and results for mere ids."""
    for counter in continuation.counters:
        insert(counter)
    for stored in continuation.results:
        store_aside(stored.task_id, stored.outcome, task=stored.task)
    enqueue(admitted(continuation))
    # In one order everywhere, so that two settlements with several chords each do not wait for one another.
    for part in sorted(continuation.parts, key=attrgetter("group_id")):
        _count_down(part, finish_chord)


def insert(counter: Counter) -> None:
    """Safe to call again."""
    database.execute(
        "INSERT INTO django_celery_results_chordcounter (group_id, sub_tasks, count) VALUES (%s, %s, %s) "
        "ON CONFLICT (group_id) DO NOTHING",
        [counter.group_id, counter.sub_tasks, counter.count],
    )


def _count_down(part: Part, finish_chord: FinishChord) -> None:
    """A part counts once: it is written only by the transaction that deletes its member's message."""
    left = database.rows(
        "UPDATE django_celery_results_chordcounter SET count = count - 1 WHERE group_id = %s RETURNING count",
        [part.group_id],
    )
    if not left or left[0]["count"] > 0:
        return
    # Whoever counted before has committed: we hold the row's lock, which they had.
    finished = database.rows(
        "DELETE FROM django_celery_results_chordcounter WHERE group_id = %s RETURNING sub_tasks", [part.group_id]
    )
    for row in finished:
        write(finish_chord(part, row["sub_tasks"]), finish_chord=finish_chord)
