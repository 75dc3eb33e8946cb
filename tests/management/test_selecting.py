"""The options by which commands are told which rows they are for: what is wrong with them is said with its cure."""

import argparse
from datetime import timedelta

import pytest
from django.core.management.base import CommandError, CommandParser

from routing.ledger.selection import IN_FLIGHT, Selection
from routing.ledger.tables import Tally
from routing.management.selecting import add_options, duration, selection_of
from tests.relay.ledger import waiting

pytestmark = pytest.mark.django_db


def selected(*arguments: str, needs_all: bool = True) -> Selection:
    parser = CommandParser(called_from_command_line=False)
    add_options(parser, states=IN_FLIGHT, things="tasks in flight")
    return selection_of(vars(parser.parse_args(arguments)), needs_all=needs_all)


def test_all_that_is_said_narrows_the_selection() -> None:
    assert selected(
        *("--task", "reporting.*", "--domain", "reporting", "--queue", "reporting", "--state", "retry"),
        *("--older-than", "1d12h", "--newer-than", "2w", "--error", "time-out", "one", "two"),
    ) == Selection(
        task="reporting.*",
        domain="reporting",
        queue="reporting",
        state="RETRY",
        older_than=timedelta(hours=36),
        newer_than=timedelta(weeks=2),
        error="time-out",
        ids=("one", "two"),
    )


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ([], "say --all"),
        (["--all", "--task", "x"], "contradict"),
        (["--domain", "billing"], "Use one of notifications, reporting"),
        (["--queue", "billing.urgent"], "Use one of notifications, notifications.urgent"),
        (["--state", "DONE"], "Use one of PENDING, STARTED"),
        (["--older-than", "yesterday"], "such as 90s, 30m, 2h, 5d"),
        (["--older-than", "2d", "--newer-than", "3h"], "Nothing is both"),
        (["--task", "a\0b"], "NUL"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_cure(arguments: list[str], cure: str) -> None:
    with pytest.raises(CommandError, match=cure):
        selected(*arguments)


@pytest.mark.parametrize("text", ["", "0s", "5", "h", "-1h", "1.5h", "99999999999999w", "200000d", "1h 2m", "1y"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no age"):
        duration(text)


def test_what_domains_and_lanes_left_behind_can_be_chosen_though_the_code_has_forgotten_them() -> None:
    Tally.objects.create(domain="billing", accepted=1)
    waiting("billing.urgent", publish=False)

    assert selected("--domain", "billing", "--queue", "billing.urgent").queue == "billing.urgent"


def test_everything_is_chosen_where_nothing_needs_to_be_said_or_all_is() -> None:
    assert selected("--all").is_everything
    assert selected(needs_all=False).is_everything
