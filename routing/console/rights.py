"""What a user may see and do, beside Django's permissions for each page: payloads, secrets, and which domains."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from routing.domains import registry

SEE_PAYLOADS, REVEAL = "view_payload", "reveal_secret"
"""Permissions of their own: to see arguments and results, and to see those arguments that are sealed."""
_PREFIX = "domain_"


def codename(domain: str) -> str:
    """Of the permission that limits whoever has it to such domains. Who has none of them is not limited."""
    return f"{_PREFIX}{domain}"


def sees_payloads(user: Any) -> bool:
    return bool(user.has_perm(f"routing.{SEE_PAYLOADS}"))


def may_reveal(user: Any) -> bool:
    return bool(sees_payloads(user) and user.has_perm(f"routing.{REVEAL}"))


def domains_of(user: Any) -> frozenset[str] | None:
    """Those that the user is limited to; None for all."""
    if user.is_superuser:
        return None
    label = f"routing.{_PREFIX}"
    found = frozenset(each.removeprefix(label) for each in user.get_all_permissions() if each.startswith(label))
    return found or None


def covers(user: Any, domain: str | None) -> bool:
    """Whether the user may see what belongs to this domain, or to none."""
    limits = domains_of(user)
    return limits is None or domain in limits


def require_all_domains(user: Any) -> None:
    """For pages that tell of all of them at once. Raises PermissionDenied."""
    if domains_of(user) is not None:
        raise PermissionDenied(_("This page tells of all domains, and you are limited to some."))


def covers_task(user: Any, task: str | None) -> bool:
    domain = registry().of_task(task) if task else None
    return covers(user, domain.name if domain else None)


class LimitedBackend(ModelBackend):
    """Django's own, by which the pages of a domain's app are closed to who is limited to others."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if not super().has_perm(user_obj, perm, obj):
            return False
        app = perm.partition(".")[0]
        return app not in {domain.name for domain in registry()} or covers(user_obj, app)
