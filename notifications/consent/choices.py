"""What a recipient wants to get: one choice for each category that is not required."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from notifications import categories
from notifications.categories import Category
from notifications.consent.tables import Preference


@dataclass(frozen=True)
class Choice:
    category: Category
    wanted: bool


def optional() -> Iterator[Category]:
    return (category for category in categories.registry().values() if not category.required)


def required() -> Iterator[Category]:
    return (category for category in categories.registry().values() if category.required)


def of(address_key: str) -> list[Choice]:
    """In the order of the categories."""
    stored = Preference.objects.filter(address_key=address_key).order_by("changed_at", "pk")
    # Where a category has had other names, the newest choice counts.
    said = {categories.renamed(category): wanted for category, wanted in stored.values_list("category", "wanted")}
    return [Choice(category, said.get(category.name, True)) for category in optional()]


def is_unwanted(address_key: str, category: Category) -> bool:
    names = categories.names(category.name)
    stored = Preference.objects.filter(address_key=address_key, category__in=names).order_by("-changed_at", "-pk")
    return stored.values_list("wanted", flat=True).first() is False


def unwanted(category: Category) -> "QuerySet[Preference]":
    """The newest choice of each who does not want it."""
    chosen = Preference.objects.filter(category__in=categories.names(category.name))
    later = Q(changed_at__gt=OuterRef("changed_at")) | Q(changed_at=OuterRef("changed_at"), pk__gt=OuterRef("pk"))
    return chosen.filter(~Exists(chosen.filter(later, address_key=OuterRef("address_key"))), wanted=False)


def choose(address_key: str, wishes: Mapping[str, bool], *, source: str) -> None:
    """``wishes`` by category. Safe to call again, and two at once: the later one counts."""
    now = timezone.now()
    rows = [
        Preference(address_key=address_key, category=category, wanted=wanted, source=source, changed_at=now)
        for category, wanted in wishes.items()
    ]
    Preference.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["address_key", "category"],
        update_fields=["wanted", "source", "changed_at"],
    )


def only(address_key: str, names: Collection[str], *, source: str) -> list[Choice]:
    """Nothing but these of the optional categories; what is so already is not touched. Safe to call again."""
    before = of(address_key)
    wishes = {
        choice.category.name: choice.category.name in names
        for choice in before
        if choice.wanted != (choice.category.name in names)
    }
    if wishes:
        choose(address_key, wishes, source=source)
    return [Choice(choice.category, choice.category.name in names) for choice in before]
