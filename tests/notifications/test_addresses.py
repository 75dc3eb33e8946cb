"""Addresses as people write them: the short way to read the plain ones tells the same as the long way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import addresses
from notifications.addresses import InvalidAddress, Mailbox

# Pieces that meet at every border of what is plain.
PIECES = st.sampled_from(
    [
        "ann",
        "Jörg",
        "a.b",
        "a..b",
        ".a",
        "+x",
        "_",
        "-",
        "@",
        "@example.org",
        "@x-.org",
        "@-x.org",
        "@localhost",
        ".org",
        "1",
    ]
) | st.sampled_from([*list(" .,<>\"'\u2019()\\:;\t\n"), "  ", "@münchen.de", "x" * 64])


def told(text: str, *, shortly: bool) -> Mailbox | str:
    try:
        return addresses.parse.__wrapped__(text) if shortly else addresses._parsed(text)
    except InvalidAddress as error:
        return str(error)


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40))
def test_the_short_way_tells_what_the_long_way_tells(text: str) -> None:
    assert told(text, shortly=True) == told(text, shortly=False)


@given(st.from_regex(addresses._PLAIN))
def test_so_it_does_for_what_is_plain(text: str) -> None:
    assert told(text, shortly=True) == told(text, shortly=False)


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.org",
        "Ann Example <ann@example.org>",
        "Jörg <a.b+c_d@mail.example.org>",
        "Dr. Anne-Marie O'Neill Jr. <ann@example.org>",
        "Conan O\u2019Brien <ann@example.org>",
    ],
)
def test_most_addresses_are_plain(text: str) -> None:
    assert addresses._PLAIN.match(text)


def test_a_huge_text_is_refused() -> None:
    assert isinstance(told("a" * 1_000_000 + "@example.org", shortly=True), str)
