"""A template's versions: which is sent, what it needs to be given, and what of that is secret."""

from collections.abc import Collection, Mapping
from typing import Any

from notifications import sealing
from notifications.templating.rendering import compiled
from notifications.templating.tables import TemplateVersion


def newest(name: str) -> TemplateVersion:
    """Raises LookupError."""
    found = TemplateVersion.objects.select_related("template").filter(template__name=name).order_by("-number").first()
    if found is None:
        raise LookupError(f"{name!r} is no template; the admin lists them, under Templates.")
    return found


def missing(version: TemplateVersion, values: Mapping[str, Any]) -> list[str]:
    """The variables that it must be given and is not."""
    return sorted(version.required - values.keys())


def masked(values: Mapping[str, Any], secret: Collection[str]) -> dict[str, Any]:
    return sealing.split(values, secret)[0]


def check(subject: str, text: str, html: str) -> None:
    """Raises UnusableTemplate."""
    for name, source in (("subject", subject), ("text", text), ("HTML", html)):
        compiled(source, name=name)
