"""What a job may do to its rows: a batch of them at a time, by the ledger's own verbs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from routing.ledger import database, replay, rerouting
from routing.ledger.tables import DeadLetter
from routing.worker import cancelling
from routing.worker.cancelling import Fate, Order

NO_LETTER = "left, as no open dead letter is kept of it"
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Verb:
    """``act`` does it to rows by their keys, in somebody's name, and returns how many came to what.

    ``batch``: rows of one transaction. ``counts``: the outcome that is what was asked for. ``permission``: who may ask.
    """

    name: str
    title: str | Promise
    act: Callable[[Sequence[Any], str, Options], Mapping[str, int]]
    batch: int
    counts: str
    permission: str = "routing.change_deadletter"


def _replay_results(task_ids: Sequence[str], by: str, _options: Options) -> Mapping[str, int]:
    letters = DeadLetter.objects.using(database.using()).filter(task_id__in=task_ids, state=DeadLetter.State.OPEN)
    outcomes = Counter(replay.replay(list(letters.values_list("pk", flat=True).order_by("pk")), by=by))
    outcomes[NO_LETTER] += max(len(task_ids) - outcomes.total(), 0)
    return +outcomes


def _cancel(task_ids: Sequence[str], by: str, options: Options) -> Mapping[str, int]:
    order = Order(by=by, note=options.get("note", ""), signal="TERM" if options.get("terminate") else None)
    return {str(fate): count for fate, count in cancelling.cancel_many(task_ids, order).items()}


def _move(task_ids: Sequence[str], _by: str, options: Options) -> Mapping[str, int]:
    return rerouting.move(task_ids, queue=options["queue"])


TASKS = "routing.change_message"
REPLAY = Verb("replay", _("Replay"), lambda keys, by, _options: replay.replay(keys, by=by), 200, replay.REPLAYED)
DISCARD = Verb("discard", _("Discard"), lambda keys, by, _options: replay.discard(keys, by=by), 500, replay.DISCARDED)
RESTORE = Verb("restore", _("Take back"), lambda keys, by, _options: replay.restore(keys, by=by), 500, replay.RESTORED)
REPLAY_RESULTS = Verb("replay_results", _("Replay"), _replay_results, 200, replay.REPLAYED)
CANCEL = Verb("cancel", _("Cancel"), _cancel, 50, Fate.CANCELLED, TASKS)
RUN_NOW = Verb(
    "run_now", _("Run now"), lambda keys, _by, _options: rerouting.run_now(keys), 200, rerouting.DUE_NOW, TASKS
)
MOVE = Verb("move", _("Move to another lane"), _move, 200, rerouting.MOVED, TASKS)
VERBS = {verb.name: verb for verb in (REPLAY, DISCARD, RESTORE, REPLAY_RESULTS, CANCEL, RUN_NOW, MOVE)}
