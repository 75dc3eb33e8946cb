"""Decisions come from the seed alone, and a run that attacked or enqueued too little says so."""

from collections import Counter
from itertools import islice

import pytest

from routing.domains import registry
from tests.chaos.options import read
from tests.chaos.plan import ONE_IN, Target, decisions, everything, least
from tests.chaos.verdict import too_few, too_little

POOLS = list(registry().pools)
TARGET = Target("relay-1", 10.0, ("kill", "kill", "freeze"))


def test_one_seed_makes_the_same_decisions_each_time() -> None:
    first, second = (list(islice(decisions(7, TARGET), 50)) for _ in range(2))
    assert first == second
    assert first != list(islice(decisions(8, TARGET), 50))


def test_two_targets_of_one_deck_are_attacked_differently() -> None:
    other = Target("relay-2", TARGET.pause, TARGET.deck)
    assert list(islice(decisions(7, TARGET), 10)) != list(islice(decisions(7, other), 10))


def test_the_whole_deck_is_dealt_before_anything_comes_again() -> None:
    kinds = [decision.kind for decision in islice(decisions(7, TARGET), 30)]
    assert all(Counter(kinds[start : start + 3]) == {"kill": 2, "freeze": 1} for start in range(0, 30, 3))


def test_a_family_begins_with_different_attacks() -> None:
    workers = [target for target in everything(POOLS, nodes=1, database="postgresql") if target.family == "worker"]
    first_two = [decision.kind for worker in workers for decision in islice(decisions(7, worker), 2)]
    assert set(first_two) == set(workers[0].deck)


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_every_kind_of_attack_has_its_minimum(nodes: int, database: str) -> None:
    found = everything(POOLS, nodes=nodes, database=database)
    assert {kind for target in found for kind in target.deck} <= ONE_IN.keys()


@pytest.mark.parametrize("nodes", [1, 3])
def test_one_deck_for_the_broker_has_what_five_minutes_ask_of_it(nodes: int) -> None:
    (broker,) = (one for one in everything(POOLS, nodes=nodes, database="postgresql") if one.name == "broker")

    assert {kind for kind in broker.deck if broker.deck.count(kind) < least(kind, 300)} == set()
    assert set(broker.deck) == {
        kind for kind in ONE_IN if kind.startswith("broker-") or (nodes, kind) == (3, "majority-kill")
    }


def test_too_few_attacks_of_one_kind_are_told() -> None:
    targets = everything(POOLS, nodes=1, database="postgresql")
    enough = Counter(dict.fromkeys(ONE_IN, 600))
    assert too_few(enough, targets, seconds=600) == []
    assert len(too_few(enough - Counter({"broker-wipe": 599}), targets, seconds=600)) == 1


def test_too_low_a_load_is_told() -> None:
    options = read(["--seconds", "100", "--rate", "30"])
    assert too_little(1200, options) == []
    assert len(too_little(1199, options)) == 1


def test_what_make_passes_on_empty_is_left_to_chance_and_database() -> None:
    options = read(["--seed", "", "--rate", "", "--database", "sqlite"])
    assert isinstance(options.seed, int)
    assert options.rate == 10
