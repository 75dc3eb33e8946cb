"""The groups viewer, operator and admin get what they may do once there is all of it, and keep what people make of it.

A group that has no permission yet is filled; one that has is somebody's business.
"""

from collections.abc import Iterable

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import router
from django.db.models import Q

from routing.console.rights import REVEAL, SEE_PAYLOADS, codename
from routing.domains import registry
from routing.ledger.tables import Message

PIPELINE = ("routing", "django_celery_results")
VIEWER, OPERATOR, ADMIN = "viewer", "operator", "admin"
_TOKENS = "apitoken"


def give(sender: AppConfig, *, using: str) -> None:
    """After the last app's permissions were made. Safe to call again."""
    last = [each for each in apps.get_app_configs() if each.models_module is not None][-1]
    if sender is not last or not router.allow_migrate_model(using, Permission):
        return
    _make_limits(using)
    for group in Group.objects.using(using).filter(name__in=_GIVEN, permissions=None):
        group.permissions.set(Permission.objects.using(using).filter(_GIVEN[group.name]()))


def _make_limits(using: str) -> None:
    """One permission for each domain; that of a domain which is gone stays, since it limits people."""
    wanted = {
        codename(domain.name): f"Only the domain {domain.title}, with what other rights allow there"
        for domain in registry()
    }
    rows = Permission.objects.using(using)
    known = set(rows.filter(content_type__app_label="routing", codename__in=wanted).values_list("codename", flat=True))
    missing = [name for name in wanted if name not in known]
    if missing:
        kind = ContentType.objects.db_manager(using).get_for_model(Message)
        new = [Permission(content_type=kind, codename=name, name=wanted[name]) for name in missing]
        rows.bulk_create(new, ignore_conflicts=True)


def _viewer() -> Q:
    """Looks at the pipeline; what tasks were called with stays hidden."""
    return _of(PIPELINE) & Q(codename__startswith="view_") & ~Q(codename__in=[SEE_PAYLOADS, f"view_{_TOKENS}"])


def _operator() -> Q:
    """Sees payloads, decides about tasks, and does what the domains' own pages offer."""
    deeds = Q(codename__startswith="view_") | Q(codename__startswith="change_")
    pipeline = _of(PIPELINE) & deeds & ~Q(content_type__model=_TOKENS)
    return pipeline | _of(domain.name for domain in registry()) & deeds


def _admin() -> Q:
    """All there is, but for the limits to single domains."""
    apps_of_people = ("auth", "admin")
    everything = _of([*PIPELINE, *apps_of_people, *(domain.name for domain in registry())])
    return everything & ~Q(content_type__app_label="routing", codename__startswith=codename(""))


def _of(labels: Iterable[str]) -> Q:
    return Q(content_type__app_label__in=list(labels))


_GIVEN = {VIEWER: _viewer, OPERATOR: _operator, ADMIN: _admin}
__all__ = ["ADMIN", "OPERATOR", "REVEAL", "VIEWER", "give"]
