"""What a template says of its variables: which must be given, which are secret, and an example of each."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils.translation import gettext as _

NAME = re.compile(r"[A-Za-z]\w{0,99}\Z", re.ASCII)

EXAMPLE = '{"name": "order", "sample": "A-17"}'
ALWAYS_GIVEN = {
    "unsubscribe_url": "https://example.org/unsubscribe/sample",
    "preferences_url": "https://example.org/preferences/sample",
}
"""What no caller gives and every template may say, with a sample of each."""


class Undeclarable(ValueError):
    """A declaration that is none; the message tells the cure."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    name: str
    required: bool = True
    secret: bool = False
    sample: Any = field(default="")
    """Any JSON: a list of mappings for what is gone through with ``{% for %}``."""
    description: str = ""

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def read(rows: Any) -> list[Variable]:
    """From JSON, as it is stored and written to files. Raises Undeclarable."""
    if not isinstance(rows, list):
        raise Undeclarable(_("variables must be a list, such as %(example)s.") % {"example": f"[{EXAMPLE}]"})
    found = [_variable(row) for row in rows]
    if twice := {one.name for one in found if sum(one.name == other.name for other in found) > 1}:
        raise Undeclarable(_("%(name)s is declared twice; leave one.") % {"name": ", ".join(sorted(twice))})
    return found


def samples(variables: Iterable[Variable]) -> dict[str, Any]:
    """Also of what is always given."""
    own = {variable.name: variable.sample for variable in variables if variable.sample not in ("", None)}
    return {**ALWAYS_GIVEN, **own}


def _variable(row: Any) -> Variable:
    if not isinstance(row, Mapping) or not isinstance(name := row.get("name"), str):
        told = _("%(row)s declares no variable; write %(example)s.")
        raise Undeclarable(told % {"row": repr(row), "example": EXAMPLE})
    if not NAME.match(name):
        told = _("%(name)s cannot be the name of a variable; use letters, digits and underscores.")
        raise Undeclarable(told % {"name": repr(name)})
    known = Variable.__dataclass_fields__
    if unknown := sorted(set(row) - set(known)):
        told = _("%(name)s has %(unknown)s, which mean nothing; there are %(known)s.")
        raise Undeclarable(told % {"name": name, "unknown": ", ".join(unknown), "known": ", ".join(known)})
    for flag in ("required", "secret"):
        if not isinstance(row.get(flag, False), bool):
            raise Undeclarable(_("%(flag)s of %(name)s must be true or false.") % {"flag": flag, "name": name})
    if not isinstance(row.get("description", ""), str):
        raise Undeclarable(_("description of %(name)s must be a text.") % {"name": name})
    if not _is_storable(row):
        told = _("%(name)s has a NUL, half of a surrogate pair or a NaN in it, which no database keeps.")
        raise Undeclarable(told % {"name": name})
    return Variable(**row)


def _is_storable(row: Mapping[str, Any]) -> bool:
    try:
        written = json.dumps(dict(row), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError):
        return False
    return b"\\u0000" not in written
