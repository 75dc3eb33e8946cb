"""``manage.py reseal``: no row needs an old key then, whatever became of it meanwhile, and nothing else changes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils.module_loading import autodiscover_modules
from django_celery_results.models import TaskResult

from routing import resealing, sealing, sensitive
from routing.ledger import audit, replay
from routing.ledger.tables import DeadLetter
from routing.resealing import Place
from tests.inline import drain, worker
from tests.ledger.test_cancel import together
from tests.notifications.test_deciding import with_secret
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD, stored
from tests.workers import ROOT, environment

tasks: Any = typed_tasks

pytestmark = pytest.mark.django_db(transaction=True)
Run = Callable[..., str]
TODAY = "the new one"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        call_command("reseal", *arguments)
        return capsys.readouterr().out

    return call


@pytest.fixture(autouse=True)
def balanced() -> Iterator[None]:
    autodiscover_modules("sealed_rows")
    with worker():
        yield
    assert audit.audit().balances


@pytest.fixture
def old(settings: LazySettings) -> str:
    """The key that all of it is sealed with: one in flight, one that is over, one dead letter and a delivery."""
    tasks.charge.delay("A-17", CARD)
    tasks.decline.delay(CARD)
    drain()
    tasks.charge.delay("A-18", card=CARD, pin=7)
    with_secret()
    before = str(settings.SECRET_KEY)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = TODAY, [before]
    return before


def needs(run: Run) -> dict[str, dict[str, int]]:
    return {each["setting"]: each["rows"] for each in json.loads(run("--dry-run", "--json"))["keys"]}


def place_of(kind: str) -> Place:
    return next(place for place in resealing.PLACES if place.kind == kind)


def rotated(settings: LazySettings) -> str:
    before = str(settings.SECRET_KEY)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = TODAY, [before]
    return before


def test_a_dry_run_tells_which_key_is_needed_by_how_many_and_never_the_key(run: Run, old: str) -> None:
    before = stored()

    told = run("--dry-run")

    assert "1 tasks 2 results 1 letters 1 deliveries" in " ".join(told.partition("no. 1")[2].split())
    assert "5 need an old key" in told
    assert sealing.fingerprint(old) in told
    assert sealing.fingerprint(TODAY) in told
    assert old not in told
    assert TODAY not in told
    assert stored() == before
    assert needs(run) == {
        "SECRET_KEY": {},
        "SECRET_KEY_FALLBACKS, no. 1": {"tasks": 1, "results": 2, "letters": 1, "deliveries": 1},
    }


def test_once_they_are_sealed_anew_the_old_key_can_go(run: Run, old: str, settings: LazySettings) -> None:
    told = run()

    assert "5 rows are sealed with today's key (tasks: 1, results: 2, letters: 1, deliveries: 1)." in told
    settings.SECRET_KEY_FALLBACKS = []
    assert "No row needs an old key." in run("--dry-run")
    assert "0 rows are sealed" in run()
    letter = DeadLetter.objects.get()
    assert replay.replay([letter.pk], by="ann")[replay.REPLAYED] == 1
    drain()
    assert "s3cret" in mail.outbox[0].body
    assert set(TaskResult.objects.filter(task_name="reporting.charge").values_list("status", flat=True)) == {"SUCCESS"}
    assert CARD not in stored()


def test_a_task_settled_by_an_old_copy_of_its_message_has_todays_key(run: Run, old: str) -> None:
    """RabbitMQ's copies and what a worker runs just now are as they were published."""
    place = place_of("tasks")
    (key,) = [row.pk for row in place.sealed_rows(place.rows())]

    drain()

    assert resealing.reseal_rows(place, [key]) == 0, "it has ended meanwhile"
    result = TaskResult.objects.get(task_id=key)
    assert place_of("results").keys_of(result) == {sealing.fingerprint(TODAY)}


def test_rows_that_are_settled_meanwhile_are_neither_lost_nor_left(run: Run, settings: LazySettings) -> None:
    for number in range(12):
        tasks.charge.delay(f"A-{number}", CARD)
    rotated(settings)

    together(lambda: resealing.reseal(), drain_in_thread)
    run()

    settings.SECRET_KEY_FALLBACKS = []
    assert needs(run) == {"SECRET_KEY": {"results": 12}}
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}


def drain_in_thread() -> None:
    with worker():
        drain()


def test_what_no_key_at_hand_opens_is_left_and_told_with_the_cure(run: Run, old: str, settings: LazySettings) -> None:
    settings.SECRET_KEY_FALLBACKS = []
    before = stored()

    with pytest.raises(CommandError, match=r"No key at hand opens 5 of them .*SECRET_KEY_FALLBACKS"):
        run()

    assert stored() == before
    told = run("--dry-run")
    assert "put the key that is missing into SECRET_KEY_FALLBACKS" in told
    assert "No row needs" not in told
    assert json.loads(run("--dry-run", "--json"))["keys"][-1]["rows"]["tasks"] == 1


def test_one_that_is_killed_has_done_its_batches_and_the_next_does_the_rest(
    run: Run, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        tasks.charge.delay(f"A-{number}", CARD)
    old = rotated(settings)
    killed = subprocess.run(
        [sys.executable, "manage.py", "reseal"],
        cwd=ROOT,
        env=environment() | {"SECRET_KEY": TODAY, "SECRET_KEY_FALLBACKS": old, "TASKYARD_FAULT": "reseal.uncommitted"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    assert needs(run)["SECRET_KEY"] == {}, "its transaction was rolled back"

    assert "3 rows are sealed" in run()


@pytest.mark.any_database
def test_one_that_is_stopped_tells_where_to_go_on(
    run: Run, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "WINDOW", 2)
    for number in range(5):
        tasks.charge.delay(f"A-{number}", CARD)
    rotated(settings)
    asked = iter([False, False, False, True])

    done = resealing.reseal(stopped=lambda: next(asked))

    assert (done.rows["tasks"], done.reached[:6]) == (4, "tasks:")
    assert "1 row is sealed" in run("--from", done.reached)
    assert needs(run)["SECRET_KEY"] == {"tasks": 5}


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "nonsense"], "names no place. Use one of tasks, results, letters, deliveries"),
        (["--from", "results:x"], "names no row of results"),
        (["--from", "tasks", "--dry-run"], "leave out --from"),
    ],
)
def test_a_wrong_option_is_told_with_the_cure(run: Run, options: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(*options)


@pytest.mark.any_database
def test_a_seal_is_found_however_it_is_written(settings: LazySettings) -> None:
    place = place_of("letters")
    sealed = sensitive.seal(CARD)
    body = json.dumps([[sealed, json.dumps({"nested": sealed})], {"größer": 1}])
    raw = b"\xff" + json.dumps(sealed, separators=(",", ":")).encode() + b"\0"
    others = {"headers": "{}", "properties": "{}", "history": "[]"}
    letter = DeadLetter(body=body, raw=raw, **others)
    old = rotated(settings)
    assert place.keys_of(letter) == {sealing.fingerprint(old)}

    changed = place.resealed(letter)

    assert set(changed) == {"body", "raw"}
    after = DeadLetter(**changed, **others)
    assert place.keys_of(after) == {sealing.fingerprint(TODAY)}
    assert sensitive.unseal(json.loads(changed["body"])[0][0]) == CARD
    assert json.loads(changed["body"])[1] == {"größer": 1}
    assert (changed["raw"][:1], changed["raw"][-1:]) == (b"\xff", b"\0")
