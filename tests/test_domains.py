"""What a domain may declare."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from routing.domains import Domain, Lane, Registry, RetryPolicy


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
        (
            {"name": "billing", "time_limit": timedelta(minutes=1), "soft_time_limit": timedelta(minutes=1)},
            "below time_limit",
        ),
    ],
)
def test_a_wrong_declaration_names_the_cure(declaration: dict[str, object], cure: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"project/domains\.py") as error:
        Domain(**declaration)  # type: ignore[arg-type]

    assert cure in str(error.value)


def test_two_domains_cannot_share_a_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="twice"):
        Registry([Domain(name="billing"), Domain(name="billing")])


def test_retries_wait_longer_each_time_up_to_a_limit() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=60), max_delay=timedelta(minutes=3))

    assert [policy.delay(retries, 0.5).total_seconds() for retries in range(3)] == [60, 120, 180]


def test_jitter_spreads_retries_to_both_sides() -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=100), jitter=0.1)

    assert policy.delay(0, 0.0) == timedelta(seconds=90)
    assert policy.delay(0, 0.999) < timedelta(seconds=110)
