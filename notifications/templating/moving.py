"""Brings templates from files into the database: a new version of each that says something else."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction

from notifications.problems import Problem
from notifications.templating import review, versions
from notifications.templating.folder import Filed
from notifications.templating.tables import Template


class Step(StrEnum):
    ADD = "add"
    CHANGE = "change"
    KEEP = "keep"


@dataclass(frozen=True)
class Move:
    """What becomes of one template; ``number`` is the version that then is the newest."""

    filed: Filed
    step: Step
    number: int


def problems(filed: Filed) -> list[Problem]:
    """All that keeps it from being taken."""
    try:
        validate_slug(filed.name)
    except ValidationError:
        return [Problem("name", "must be of letters, digits, hyphens and underscores; rename its folder.")]
    return review.all_problems(filed.sources, filed.translations, filed.variables)


def plan(found: Iterable[Filed]) -> list[Move]:
    return [_move(filed) for filed in found]


def carry_out(moves: Iterable[Move], *, by: Any = None) -> None:
    """All of them, or none. Raises InvalidTemplate, and Outdated where somebody has saved one meanwhile."""
    with transaction.atomic():
        for move in moves:
            _carry_out(move, by)


def _move(filed: Filed) -> Move:
    template = Template.objects.filter(name=filed.name).first()
    newest = versions.newest_of(template) if template else None
    if template is None or newest is None:
        return Move(filed, Step.ADD, 1)
    says = (versions.sources_of(newest), versions.declared_by(newest), versions.translations_of(newest))
    if says == (filed.sources, filed.variables, filed.translations):
        return Move(filed, Step.KEEP, newest.number)
    return Move(filed, Step.CHANGE, newest.number + 1)


def _carry_out(move: Move, by: Any) -> None:
    filed = move.filed
    template, _is_new = Template.objects.update_or_create(name=filed.name, defaults={"description": filed.description})
    if move.step is not Step.KEEP:
        versions.save(
            template, filed.sources, filed.variables, after=move.number - 1, by=by, translations=filed.translations
        )
