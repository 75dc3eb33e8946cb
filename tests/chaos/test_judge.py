"""The judge on small cases: what it accuses, and what it lets pass."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, Outcome, Waiting
from tests.chaos.journal import Entry, Sent, Verdict
from tests.chaos.judge import Charge, judge

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def call(kind: str = "plain", *tasks: str, value: Any = "done", key: str | None = None) -> Sent:
    ids = list(tasks) or ["a"]
    return Sent(kind=kind, tasks=ids, first=[] if key else ids, final=ids[-1], value=value, key=key)


def success(**fields: Any) -> Outcome:
    return Outcome(**{"status": "SUCCESS", "value": "done", "signature": "SUCCESS noon", **fields})


def charges(*sent: Sent, verdict: Verdict = Verdict.COMMITTED, **evidence: Any) -> list[Charge]:
    entries = [Entry("1", sent, verdict)] if sent else []
    return [accusation.charge for accusation in judge(Evidence(entries=entries, **evidence)).accusations]


def follows(*parents: str) -> Mapping[str, Outcome]:
    """Tasks that name these as parents."""
    return {f"after {n}": success(task="reporting.chaos_follow", parent=one) for n, one in enumerate(parents)}


def test_what_was_committed_and_has_its_outcome_is_well() -> None:
    assert charges(call(), outcomes={"a": success()}, seen={"a": {"SUCCESS noon"}}) == []


def test_what_was_committed_and_is_nowhere_is_lost() -> None:
    assert charges(call("group", "a", "b"), outcomes={"a": success()}) == [Charge.LOST]


def runs(starts: int, interruptions: int | None) -> list[Charge]:
    """What a task is accused of that started and was interrupted so often in its first attempt, and once in another."""
    attempts = Counter({("a", "retries=0"): starts, ("a", "retries=1"): 1})
    interrupted = None if interruptions is None else Counter({"a": interruptions})
    return charges(call(), outcomes={"a": success()}, attempts=attempts, interrupted=interrupted)


def test_in_deploys_a_body_runs_again_for_each_interruption_only() -> None:
    assert runs(1, 0) == runs(3, 2) == runs(1, 2) == []
    assert runs(2, 0) == runs(3, 1) == [Charge.RUN_TWICE]
    assert runs(3, None) == []


def test_in_deploys_nothing_is_poison() -> None:
    poison = Outcome(status="FAILURE", reason="poison", runs=5, signature="FAILURE noon")

    found = charges(call(), outcomes={"a": poison}, interrupted=Counter({"a": 9}), starts=Counter({"a": 9}))

    assert Charge.POISONED in found


def test_what_is_in_flight_in_the_end_is_stuck() -> None:
    assert charges(call(), in_flight={"a": Waiting(task="reporting.chaos_work")}) == [Charge.STUCK]


def test_what_follows_a_stuck_task_is_not_lost() -> None:
    sent = Sent(kind="chain", tasks=["b", "a"], first=["a"], final="b", value=1)
    assert charges(sent, in_flight={"a": Waiting(task="reporting.chaos_add")}) == [Charge.STUCK]


def test_an_outcome_that_was_seen_and_is_gone_is_lost() -> None:
    assert charges(seen={"a": {"SUCCESS noon"}}) == [Charge.LOST]


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.ROLLED_BACK])
def test_what_was_not_committed_need_not_be_there(verdict: Verdict) -> None:
    assert charges(call(), verdict=verdict) == []


def test_an_unknown_transaction_of_which_something_is_there_was_committed() -> None:
    sent = (call(), call("chain", "b"))
    assert charges(*sent, verdict=Verdict.UNKNOWN, outcomes={"a": success()}) == [Charge.LOST, Charge.TORN]


@pytest.mark.parametrize(
    "there", [{"outcomes": {"a": success()}}, {"starts": Counter("a")}, {"seen": {"a": {"SUCCESS noon"}}}]
)
def test_what_was_rolled_back_and_is_there_is_a_phantom(there: dict[str, Any]) -> None:
    assert Charge.PHANTOM in charges(call(), verdict=Verdict.ROLLED_BACK, **there)


def test_the_holder_of_a_key_that_a_rolled_back_transaction_wanted_is_no_phantom() -> None:
    holder, wanted = call("unique", "a", key="k"), call("unique", "a", key="k")
    entries = [Entry("1", (holder,), Verdict.COMMITTED), Entry("2", (wanted,), Verdict.ROLLED_BACK)]
    assert judge(Evidence(entries=entries, outcomes={"a": success()})).accusations == ()


def test_a_task_that_nobody_enqueued_is_a_phantom() -> None:
    assert charges(outcomes={"x": success(task="reporting.chaos_follow", parent="y")}) == [Charge.PHANTOM]


def test_what_a_request_enqueued_that_gave_no_answer_is_no_phantom_and_neither_is_what_follows() -> None:
    mail = success(task="notifications.send_email", parent=None)
    delivery = success(task="notifications.deliver", parent="mail")

    assert charges(outcomes={"mail": mail, "delivery": delivery}) == []
    assert charges(outcomes={"delivery": delivery}) == [Charge.PHANTOM]


def test_an_outcome_that_changed_is_a_second_one() -> None:
    assert charges(call(), outcomes={"a": success()}, seen={"a": {"FAILURE 11:59"}}) == [Charge.DOUBLE_OUTCOME]


def test_an_outcome_that_the_ledger_counted_and_threw_away_is_a_second_one() -> None:
    assert charges(discarded=2) == [Charge.DOUBLE_OUTCOME]


def test_a_dead_letter_of_a_task_that_succeeded_is_a_second_outcome() -> None:
    assert charges(call(), outcomes={"a": success()}, letters=Counter("a")) == [Charge.DOUBLE_OUTCOME]


@pytest.mark.parametrize(("parents", "expected"), [("aa", []), ("a", [Charge.LOST]), ("aaa", [Charge.DOUBLE_OUTCOME])])
def test_each_link_follows_once(parents: str, expected: list[Charge]) -> None:
    assert charges(call("links"), outcomes={"a": success(), **follows(*parents)}) == expected


def test_an_errback_follows_the_failure_once() -> None:
    failed = Outcome(status="FAILURE")
    assert charges(call("failing"), outcomes={"a": failed, **follows("a")}) == []
    assert charges(call("failing"), outcomes={"a": failed, **follows("a", "a")}) == [Charge.DOUBLE_OUTCOME]


@pytest.mark.parametrize(
    ("effects", "expected"), [("a", []), ("aa", [Charge.DOUBLE_EFFECT]), ("", [Charge.MISSING_EFFECT])]
)
def test_an_atomic_task_that_succeeded_has_one_effect(effects: str, expected: list[Charge]) -> None:
    done = {"a": success(task="reporting.chaos_effect"), **follows("a", "a")}
    assert charges(call("atomic"), outcomes=done, effects=Counter(effects)) == expected


def test_an_atomic_task_that_failed_has_no_effect() -> None:
    poison = Outcome(status="FAILURE", task="reporting.chaos_effect", reason="poison", runs=5)
    assert charges(call("atomic"), outcomes={"a": poison}) == []
    assert charges(call("atomic"), outcomes={"a": poison}, effects=Counter("a")) == [Charge.DOUBLE_EFFECT]


def test_a_task_that_may_start_once_may_crash_and_not_start_again() -> None:
    crashed = {"a": Outcome(status="FAILURE", reason="crashed")}
    assert charges(call("once"), outcomes=crashed, starts=Counter("a")) == []
    assert charges(call("once"), outcomes=crashed, starts=Counter("aa")) == [Charge.STARTED_TWICE]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(status="FAILURE", value={"exc_type": "OperationalError"}),
        Outcome(status="REVOKED", reason="revoked"),
        Outcome(status="FAILURE", reason="poison", runs=2),
        success(value="something else"),
    ],
)
def test_an_outcome_that_is_not_the_task_s_own_doing_is_false(outcome: Outcome) -> None:
    assert charges(call(), outcomes={"a": outcome}) == [Charge.FALSE_OUTCOME]


def test_what_hangs_on_poison_fails_with_it() -> None:
    outcomes = {"a": Outcome(status="FAILURE", reason="poison", runs=5), "b": Outcome(status="FAILURE")}
    assert charges(call("chain", "a", "b"), outcomes=outcomes) == []


@pytest.mark.parametrize(("gap", "expected"), [(1, []), (-1, [Charge.SHARED_KEY])])
def test_two_tasks_with_one_key_are_in_flight_one_after_the_other(gap: int, expected: list[Charge]) -> None:
    def held(begin: datetime) -> Outcome:
        return success(created_at=begin, done_at=begin + timedelta(seconds=10))

    sent = call("unique", "a", key="k"), call("unique", "b", key="k")
    assert charges(*sent, outcomes={"a": held(NOON), "b": held(NOON + timedelta(seconds=10 + gap))}) == expected


def test_books_that_did_not_balance_and_chords_that_wait_are_told() -> None:
    assert charges(imbalances=["reporting: 1 task is missing"]) == [Charge.IMBALANCE]
    assert charges(open_chords=1) == [Charge.OPEN_CHORD]
