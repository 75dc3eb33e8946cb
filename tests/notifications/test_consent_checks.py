"""Categories that are declared wrongly, renamed or gone, and a site that mail readers would not call."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from notifications import categories
from notifications.categories import Category
from notifications.consent import choices
from notifications.consent.checks import check_categories, check_rows, check_site
from tests.notifications.consenting import ANN, letter, run
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

Declare = Callable[..., None]
NEWS = Category(name="news", description="News.")


@pytest.fixture
def declare(settings: Settings) -> Iterator[Declare]:
    def listed(*found: Any) -> None:
        global CATEGORIES
        CATEGORIES = found
        settings.TASKYARD_CATEGORIES = f"{__name__}.CATEGORIES"
        forget()

    yield listed
    forget()


def forget() -> None:
    categories.registry.cache_clear()
    categories.former.cache_clear()


CATEGORIES: Any = ()


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"name": "My News"}, "small letters, digits and underscores"),
        ({"name": "news\n"}, "small letters, digits and underscores"),
        ({"name": 7}, "small letters, digits and underscores"),
        ({"title": 7}, "must be a text"),
        ({"required": "no"}, "True or False"),
        ({"when_unknown": "ask"}, "use WhenUnknown.REPEAT"),
        ({"give_up_after": 5}, "must be a timedelta"),
        ({"formerly": "offers"}, "tuple of names, such as"),
        ({"formerly": ("My Offers",)}, "tuple of names, such as"),
    ],
)
def test_a_wrong_declaration_tells_its_cure(wrong: dict[str, Any], cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=cure):
        Category(**{"name": "news", **wrong})


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ((), "lists no category"),
        ((NEWS, NEWS), "'news' is listed twice"),
        (("news",), "which is no Category"),
        ((NEWS, Category(name="offers", formerly=("news",))), "formerly 'news', as another one is"),
        ((Category(name="a", formerly=("c",)), Category(name="b", formerly=("c",))), "formerly 'c'"),
    ],
)
def test_a_wrong_list_is_a_check_error(declare: Declare, listed: tuple[Any, ...], said: str) -> None:
    declare(*listed)

    (error,) = check_categories()

    assert (error.id, said in error.msg) == ("notifications.E002", True)
    assert "project/categories.py" in str(error.hint)


@pytest.mark.parametrize("path", ["nothing", "project.nothing.CATEGORIES", "project.categories.NOTHING", "os.sep.join"])
def test_a_list_that_cannot_be_loaded_is_a_check_error(declare: Declare, settings: Settings, path: str) -> None:
    declare(NEWS)
    settings.TASKYARD_CATEGORIES = path

    (error,) = check_categories()

    assert error.id == "notifications.E003"


def test_a_category_without_description_is_warned_about(declare: Declare) -> None:
    declare(NEWS, Category(name="offers"))

    assert [(warning.id, "'offers'" in warning.msg) for warning in check_categories()] == [("notifications.W001", True)]


def test_our_own_categories_are_fine() -> None:
    assert check_categories() == []


@pytest.mark.parametrize(
    ("site", "ids"),
    [
        ("https://example.org", []),
        ("http://localhost:8000", []),
        ("http://127.0.0.1:8000", []),
        ("http://example.org", ["notifications.W002"]),
        ("http://10.0.0.7:8000", ["notifications.W002"]),
    ],
)
def test_a_site_without_https_is_warned_about(settings: Settings, site: str, ids: list[str]) -> None:
    settings.SITE_URL = site

    assert [warning.id for warning in check_site()] == ids


@pytest.mark.django_db
def test_rows_of_a_category_that_is_gone_are_told_with_what_becomes_of_them(declare: Declare) -> None:
    letter(category="news")
    choices.choose(ANN, {"news": False}, source="page")
    declare(Category(name="offers"))

    error, warning = check_rows(databases=["default"])

    assert (error.id, warning.id) == ("notifications.E004", "notifications.W003")
    assert "can be replayed" in str(error.hint)
    assert "count again if it comes back" in str(warning.hint)


@pytest.mark.django_db
def test_rows_are_looked_at_only_where_the_database_is_asked_for(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert check_rows(databases=None) == []


@pytest.mark.django_db
def test_what_waits_for_a_category_that_is_gone_fails_and_is_sent_once_it_is_back(
    declare: Declare, mail_server: MailServer
) -> None:
    delivery = letter(category="news")
    declare(Category(name="offers"))

    with pytest.raises(categories.UnknownCategory, match="use one of offers"):
        run(delivery)

    declare(NEWS)
    assert run(delivery)["state"] == "sent"


@pytest.mark.django_db
def test_a_renamed_category_keeps_what_recipients_chose_and_what_waits(
    declare: Declare, mail_server: MailServer
) -> None:
    waiting, unwanted = letter("ben@example.org", category="news"), letter(category="news")
    choices.choose(ANN, {"news": False}, source="page")

    declare(Category(name="offers", formerly=("news",)))

    assert check_rows(databases=["default"]) == []
    assert run(waiting)["state"] == "sent"
    assert run(unwanted)["reason"] == "unsubscribed"
    assert [choice.wanted for choice in choices.of(ANN)] == [False]


@pytest.mark.django_db
def test_the_newest_choice_counts_whatever_the_category_was_called_then(declare: Declare) -> None:
    choices.choose(ANN, {"news": False}, source="page")
    declare(Category(name="offers", formerly=("news",)))

    choices.choose(ANN, {"offers": True}, source="page")

    assert not choices.is_unwanted(ANN, categories.get("offers"))
    assert [choice.wanted for choice in choices.of(ANN)] == [True]
