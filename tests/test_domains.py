"""What a domain may declare."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from routing.domains import Domain, Lane, Registry, Retention, RetryPolicy, Targets


def test_the_default_lanes_queue_has_the_domains_bare_name() -> None:
    domain = Domain(name="billing", lanes=(Lane("default"), Lane("urgent")))

    assert list(domain.queues) == ["billing", "billing.urgent"]


def test_a_domain_claims_what_is_below_its_name_unless_told_otherwise() -> None:
    domain = Domain(name="billing")

    assert domain.claims("billing.charge")
    assert not domain.claims("billings.charge")


def test_the_soft_limit_leaves_time_to_tidy_up() -> None:
    assert Domain(name="billing", time_limit=timedelta(minutes=5)).soft_time_limit == timedelta(minutes=4)


@pytest.mark.parametrize(
    ("declaration", "cure"),
    [
        ({"name": "Billing"}, "use a-z"),
        ({"name": "billing", "lanes": (Lane("urgent"),)}, "add Lane('default')"),
        ({"name": "billing", "lanes": (Lane("default"), Lane("dead"))}, "keeps the domain's dead letters"),
        ({"name": "billing", "lanes": (Lane("default"), Lane("default"))}, "each lane once"),
        ({"name": "billing", "concurrency": 0}, "at least 1"),
        ({"name": "billing", "prefetch": 0}, "without any limit"),
        ({"name": "billing", "lanes": (Lane("default", nice=20),)}, "to 19"),
        ({"name": "billing", "lanes": (Lane("default", nice=-1),)}, "from 0"),
        (
            {"name": "billing", "time_limit": timedelta(minutes=1), "soft_time_limit": timedelta(minutes=1)},
            "below time_limit",
        ),
        ({"name": "billing", "contact": "the payments team"}, "begins with https://"),
        ({"name": "billing", "owner": None}, "must be text"),
        ({"name": "billing", "noun": " "}, "such as 'e-mails'"),
        ({"name": "billing", "targets": 0.99}, "Targets(success=0.995"),
        ({"name": "billing", "targets": Targets(success=99)}, "such as 0.995"),
        ({"name": "billing", "targets": Targets(wait=timedelta())}, "such as timedelta(seconds=30)"),
        ({"name": "billing", "targets": Targets(run=30)}, "such as timedelta(seconds=30)"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_declaration_names_the_cure(declaration: dict[str, object], cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"project/domains\.py") as error:
        Domain(**declaration)  # type: ignore[arg-type]

    assert cure in str(error.value)


@pytest.mark.parametrize("contact", ["", "ann@example.com", "https://example.com/payments"])
def test_a_contact_can_be_reached(contact: str) -> None:
    assert Domain(name="billing", contact=contact).contact == contact


@pytest.mark.parametrize(
    ("kept", "cure"),
    [
        ({"success": 30}, "write timedelta(days=30)"),
        ({"failure": None}, "write timedelta(days=30)"),
        ({"success": timedelta()}, "at least a day"),
        ({"payload": timedelta(hours=1)}, "at least a day"),
        ({"dead_letter": -timedelta(days=3)}, "at least a day"),
        ({"success": timedelta(days=99)}, "raise failure to success"),
        ({"payload": timedelta(days=91)}, "Leave it out"),
        ({"failure": timedelta(days=99_999)}, "at most a hundred years"),
    ],
)
def test_a_retention_that_cannot_be_meant_names_the_cure(kept: dict[str, object], cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"project/domains\.py") as error:
        Retention(**kept)  # type: ignore[arg-type]

    assert cure in str(error.value)


def test_a_retention_that_is_none_names_the_cure() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"must be Retention\(success=timedelta"):
        Domain(name="billing", retention=timedelta(days=3))  # type: ignore[arg-type]


def test_dead_letters_are_kept_as_long_as_failures_unless_told_otherwise() -> None:
    assert Retention(failure=timedelta(days=50)).of_dead_letters == timedelta(days=50)
    assert Retention(dead_letter=timedelta(days=5)).of_dead_letters == timedelta(days=5)


def test_two_domains_cannot_share_a_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="twice"):
        Registry([Domain(name="billing"), Domain(name="billing")])


def test_retries_wait_longer_each_time_up_to_a_limit() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=60), max_delay=timedelta(minutes=3))

    assert [policy.delay(retries, 0.5).total_seconds() for retries in (0, 1, 2, 100_000)] == [60, 120, 180, 180]


def test_jitter_spreads_retries_to_both_sides() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=100), jitter=0.1)

    assert policy.delay(0, 0.0) == timedelta(seconds=90)
    assert policy.delay(0, 0.999) < timedelta(seconds=110)
