"""The search language: what is typed, what it says, and that every mistake is answered with a cure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.console.searching.parser import MOST_CHARACTERS, MOST_TERMS, parse, quoted
from routing.console.searching.terms import (
    Argument,
    Contains,
    DomainIn,
    Lasted,
    QueueIn,
    Search,
    Since,
    StateIn,
    TaskIn,
    TaskIs,
    Until,
)
from routing.console.searching.words import WORDS, Vocabulary, completions

pytestmark = pytest.mark.any_database

NOW = datetime(2026, 11, 12, 14, 30, tzinfo=UTC)
KNOWN = Vocabulary(("notifications", "reporting"), ("notifications.bulk",), ("reporting.weekly",))
ID = "0b8e6f2a-91f3-4c0e-8d5c-0a1b2c3d4e5f"
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


def read(line: str) -> Search:
    return parse(line, known=KNOWN, now=NOW)


def test_a_line_of_everything() -> None:
    line = (
        "state:failure,revoked task:reporting.* domain:notifications queue:notifications.bulk worker:a1 since:2d "
        'until:1h waited:>5s ran:<=1h30m args.user_id:42 error:timeout "some text"'
    )

    search = read(line)

    assert search.mistakes == ()
    assert search.terms == (
        StateIn("state:failure,revoked", ("FAILURE", "REVOKED")),
        TaskIn("task:reporting.*", ("reporting.*",)),
        DomainIn("domain:notifications", ("notifications",)),
        QueueIn("queue:notifications.bulk", ("notifications.bulk",)),
        Contains("worker:a1", "worker", "a1"),
        Since("since:2d", NOW - timedelta(days=2)),
        Until("until:1h", NOW - timedelta(hours=1)),
        Lasted("waited:>5s", "waited", ">", timedelta(seconds=5)),
        Lasted("ran:<=1h30m", "ran", "<=", timedelta(minutes=90)),
        Argument("args.user_id:42", "user_id", "42"),
        Contains("error:timeout", "error", "timeout"),
        Contains('"some text"', "text", "some text"),
    )


@pytest.mark.parametrize(
    ("line", "term"),
    [
        (ID.upper(), TaskIs(ID.upper(), ID)),
        ("id:Order-77", TaskIs("id:Order-77", "Order-77")),
        ("ada@example.org", Contains("ada@example.org", "text", "ada@example.org")),
        (r'"say \"hi\" \\o/"', Contains(r'"say \"hi\" \\o/"', "text", r"say " + '"hi" ' + "\\o/")),
        ('args.to:"Ada Lovelace"', Argument('args.to:"Ada Lovelace"', "to", "Ada Lovelace")),
        ("STATE:Running", StateIn("STATE:Running", ("STARTED",))),
        ("state:PROGRESS", StateIn("state:PROGRESS", ("PROGRESS",))),
        ("domain:-", DomainIn("domain:-", ("-",))),
        ("since:today", Since("since:today", datetime(2026, 11, 12, tzinfo=UTC))),
        ("since:yesterday", Since("since:yesterday", datetime(2026, 11, 11, tzinfo=UTC))),
        ("until:2026-11-12T14:05", Until("until:2026-11-12T14:05", datetime(2026, 11, 12, 14, 5, tzinfo=UTC))),
        ("since:2026-11-12T14+02:00", Since("since:2026-11-12T14+02:00", datetime(2026, 11, 12, 12, tzinfo=UTC))),
        ("waited:>1.5h", Lasted("waited:>1.5h", "waited", ">", timedelta(minutes=90))),
    ],
)  # fmt: skip
def test_one_word(line: str, term: Any) -> None:
    assert read(line) == Search((term,))


@pytest.mark.parametrize(
    ("line", "word", "problem", "cure"),
    [
        ("stat:failure", "stat:failure", "nothing to search by", "Did you mean state:?"),
        ("http://example.org", "http://example.org", "nothing to search by", 'write "http://example.org"'),
        ("state:faillure", "state:faillure", "No state is called “faillure”", "Did you mean failure?"),
        ("domain:reportin", "domain:reportin", "No domain", "Did you mean reporting? There are notifications, rep"),
        ("since:soon", "since:soon", "no time", "2d, 90m, today, 2026-11-12"),
        ("since:2026-02-30", "since:2026-02-30", "not in the calendar", "2026-11-12T14:00"),
        ("until:9999-12-31", "until:9999-12-31", "out of reach", "2026-11-12"),
        ("since:99999999w", "since:99999999w", "hundred years", "2d"),
        ("waited:5s", "waited:5s", "longer or shorter", "waited:>5s or waited:<200ms"),
        ("ran:>fast", "ran:>fast", "no length of time", "90s, 1h30m, 2d"),
        ("ran:>", "ran:>", "no length of time", "90s"),
        ("args:42", "args:42", "which argument", "args.user_id:42"),
        ("args.user_id:", "args.user_id:", "Nothing stands behind the colon", "args.user_id:42"),
        ("task:", "task:", "Nothing stands behind the colon", "task:reporting.*"),
        ("task:,", "task:,", "No name stands behind the colon", "task:reporting.*"),
        ('error:"time out', 'error:"time out', "not closed", 'Write "some text"'),
        ('""', '""', "empty", "Leave it out"),
        ("state:failure state:success", "state:failure", "more than once", "state:one,other"),
        ("since:2d since:3d", "since:2d", "more than once", "Give one time."),
        ("a\0b", "NUL", "NUL", "Take it out."),
        ("x" * (MOST_CHARACTERS + 1), "x" * 20 + "…", "1,001 characters", "At most 1,000"),
        (" ".join("x" * (MOST_TERMS + 1)), "x", "21 words", "At most 20"),
    ],
)
def test_every_mistake_names_the_word_and_the_cure(line: str, word: str, problem: str, cure: str) -> None:
    (mistake,) = read(line).mistakes

    assert mistake.word == word
    assert problem in mistake.problem
    assert cure in mistake.cure


@given(TEXTS)
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    assert read(quoted(text)).terms == (Contains(quoted(text), "text", text),)


@given(TEXTS, TEXTS)
def test_words_are_taken_apart_where_they_were_put_together(one: str, other: str) -> None:
    found = read(f"{quoted(one)} error:{quoted(other)}")

    assert [term.text for term in found.terms if isinstance(term, Contains)] == [one, other]


@given(st.text(max_size=200))
def test_anything_at_all_is_read_or_answered(line: str) -> None:
    search = read(line)

    assert all(mistake.problem and mistake.cure for mistake in search.mistakes)
    assert search.terms or search.mistakes or not line.strip()


@given(st.sampled_from(sorted(WORDS)), st.text(st.sampled_from('0123456789.-:,"<>= smhdwTZ*'), max_size=12))
def test_no_value_of_any_word_breaks_it(name: str, value: str) -> None:
    search = read(f"{name}:{value}")

    assert search.terms or search.mistakes


def test_all_that_completion_offers_is_understood() -> None:
    whole = [word for word in completions(KNOWN) if word[-1] not in ":."]

    assert len(whole) > 20
    assert [mistake for word in whole for mistake in read(word).mistakes] == []


@pytest.mark.parametrize("name", sorted(WORDS))
def test_the_example_of_each_word_is_understood(name: str) -> None:
    assert read(WORDS[name].example).mistakes == ()
