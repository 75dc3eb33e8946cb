"""What a template's message looks like, filled with samples or with the values of a real one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications import content
from notifications.content import Content
from notifications.tables import Delivery
from notifications.templating import declared
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources, UnusableTemplate
from notifications.templating.tables import Template
from routing.console.number_words import grouped

RECENT = 10
# Pictures come from where the template says, as they will for recipients; nothing else does anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; form-action 'none'; base-uri 'none'"
SAMPLES = gettext_lazy("the samples")


class BadValues(ValueError):
    """What was given as values is none; the message tells the cure."""


@dataclass(frozen=True)
class Preview:
    """``said`` is None where it cannot be made, and ``problems`` tell why."""

    said: Content | None
    values_of: str
    problems: Sequence[str] = field(default_factory=list)

    @property
    def size(self) -> str:
        size = len((self.said.text + self.said.html).encode(errors="replace")) if self.said else 0
        return f"{grouped(size / 1024, places=1)} KB" if size >= 1024 else _("%(size)s bytes") % {"size": size}

    @property
    def document(self) -> str:
        """For the ``srcdoc`` of a frame."""
        html = self.said.html if self.said else ""
        return f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">{html}'


def preview(sources: Sources, values: Mapping[str, Any], *, values_of: str, language: str = "") -> Preview:
    try:
        said = content.filled_in(sources, values, language=language)
    except UnusableTemplate as error:
        return Preview(None, values_of, [error.detail])
    found = content.problems(said, channel="email")
    return Preview(said, values_of, [f"{problem.field.capitalize()} {problem.detail}" for problem in found])


def values(
    variables: Sequence[Variable], *, pasted: str = "", delivery: Delivery | None = None
) -> tuple[dict[str, Any], str]:
    """The samples, over which go those of a delivery, over which go those that were pasted. Raises BadValues."""
    found, named = declared.samples(variables), [str(SAMPLES)]
    if delivery is not None:
        found |= {**delivery.notification.context, **delivery.context}
        named = [_("the values for %(address)s") % {"address": delivery.address_key}]
    if pasted.strip():
        found |= _read(pasted)
        named.append(_("what you pasted"))
    return found, _(" and ").join(named)


def recent(template: Template) -> list[Delivery]:
    """The last ones of it, whose values are kept with what is secret masked."""
    mine = Delivery.objects.filter(notification__template__template=template).select_related("notification")
    return list(mine.order_by("-pk")[:RECENT])


def _read(pasted: str) -> dict[str, Any]:
    try:
        found = json.loads(pasted)
    except ValueError as error:
        raise BadValues(_("These values are not JSON: %(error)s.") % {"error": error}) from None
    if not isinstance(found, dict):
        raise BadValues(_('Values are written as {"name": "Ann"}: a name and a value for each.'))
    return found
