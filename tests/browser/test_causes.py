"""Causes, jobs and what is asked before anything is done: at a desk, on a telephone, and by keyboard alone."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from routing.console.jobs import asking, stages, verbs
from routing.console.jobs.scopes import OfCause
from routing.ledger import fingerprint
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.tables import DeadLetter, Message
from tests.browser.conftest import OpenPage
from tests.browser.test_console import IN_FLIGHT, LETTERS, LOOKS, RESULTS, assert_nothing_sticks_out, sign_in
from tests.console import specimens
from tests.console.conftest import Serve, serve
from tests.console.specimens import in_flight

__all__ = ["serve"]

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]

CAUSES = f"{LETTERS}causes/"


@pytest.fixture
def cause(serve: Serve) -> str:
    """What failed, by its fingerprint; with a note."""
    serve()
    for _ in range(30):
        specimens.dead_letter(specimens.result("notifications.send_email", status="FAILURE"))
    for _ in range(4):
        specimens.dead_letter(specimens.result("reporting.weekly", status="FAILURE"))
    specimens.unreadable_letter()
    fingerprint.work_out()
    (found,) = set(DeadLetter.objects.filter(task="notifications.send_email").values_list("fingerprint", flat=True))
    text = "The mail server of example.org lost its users.\nAnn calls them at nine."
    CauseNote.objects.create(fingerprint=found, text=text, by="ann")
    return str(found)


def jobs(user: User, cause: str) -> dict[str, Job]:
    until = stages.newest_letter()
    other = DeadLetter.objects.filter(task="reporting.weekly").first()
    assert other is not None
    made = {}
    for name, found in (("open", cause), ("returned", other.fingerprint)):
        made[name] = asking.ask(
            verbs.REPLAY,
            OfCause(found, "open", until),
            user=user,
            told="notifications.send_email: PermanentError: The mail server refuses ada@example.org",
            expected=30,
            wish=name,
            fingerprint=found,
            plan=stages.plan(30, until=until),
        )
    trouble = "The same failure came back from what was replayed: dead letter 36."
    Job.objects.filter(pk=made["returned"].pk).update(
        state="returned", seen=1, outcomes='{"replayed": 1}', trouble=trouble
    )
    return made


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_its_window(
    open_page: OpenPage, administrator: User, cause: str, tmp_path: Path, width: int, dark: bool
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page)
    letter = DeadLetter.objects.filter(fingerprint=cause).first()
    assert letter is not None
    in_flight("reporting.weekly")
    before = {"causes": CAUSES, "cause": f"{CAUSES}{cause}/", "edit": f"{LETTERS}{letter.pk}/edit/"}
    asks = {"ask-replay": f"{CAUSES}{cause}/replay/"}
    tasks = {f"tasks-{verb}": f"{IN_FLIGHT}all/{verb}/?q=task:reporting.*" for verb in ("cancel", "move", "export")}
    lists = {"results-replay": f"{RESULTS}all/replay/?q=since:2d", "in-flight": IN_FLIGHT}

    look(page, {**before, **asks, **tasks, **lists}, tmp_path)
    made = jobs(administrator, cause)
    after = {f"job-{name}": f"/admin/routing/job/{job.pk}/change/" for name, job in made.items()}
    look(page, {**after, "jobs": "/admin/routing/job/", "cause-at-work": f"{CAUSES}{cause}/"}, tmp_path)


def look(page: Page, urls: dict[str, str], folder: Path) -> None:
    for name, url in urls.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert_nothing_sticks_out(page)
        page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_from_the_causes_to_a_replay_in_stages_by_keyboard_alone(
    open_page: OpenPage, administrator: User, cause: str
) -> None:
    page = open_page(scripts=False)
    sign_in(page)
    page.goto(CAUSES)

    press(page, "link", "notifications.send_email")
    expect(page.get_by_text("30 open dead letters of this cause.")).to_be_visible()
    press(page, "link", "Replay in stages…")
    expect(page.get_by_role("heading", name="Replay in stages: 30 dead letters?")).to_be_visible()
    press(page, "button", "Yes, replay in stages")

    expect(page.get_by_text("It begins as soon as a worker of the maintenance domain is free.")).to_be_visible()
    press(page, "button", "Stop it")
    expect(page.get_by_text(re.compile("ada stopped it"))).to_be_visible()
    assert Job.objects.get().state == "stopped"


def test_a_cancel_is_confirmed_by_keyboard_alone(open_page: OpenPage, administrator: User, serve: Serve) -> None:
    serve()
    row = in_flight("reporting.weekly")
    page = open_page()
    sign_in(page)
    page.goto(f"{IN_FLIGHT}{row.pk}/change/")

    press(page, "button", "Cancel…")
    expect(page.get_by_role("heading", name="Cancel: 1 task in flight?")).to_be_visible()
    assert Message.objects.filter(pk=row.pk).exists()
    press(page, "button", "Yes, cancel")

    expect(page.get_by_text("1 cancelled.")).to_be_visible()
    assert not Message.objects.filter(pk=row.pk).exists()


def press(page: Page, role: str, name: str) -> None:
    """Reached by the tabulator key, seen to be reached, and pressed by the enter key."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    for _ in range(150):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()
    page.keyboard.press("Enter")
