"""The form in which a template is written: what it says, and a row for each of its variables."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.core.validators import validate_slug
from django.utils.translation import gettext_lazy as _

from notifications.problems import Problem
from notifications.templating import declared
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template

NAMES = {"subject": _("The subject"), "html": _("The HTML"), "text": _("The text"), "variables": _("The variables")}


class SourceField(forms.CharField):
    """As it was written, with its last line's end; browsers send every line's as CRLF."""

    def __init__(self, *, rows: int, **options: Any) -> None:
        area = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "class": "template-source"})
        super().__init__(strip=False, required=False, widget=area, **options)

    def clean(self, value: Any) -> str:
        return str(super().clean(value)).replace("\r\n", "\n")


class TemplateForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        validators=[validate_slug],
        help_text=_("What callers call it, such as password-reset. It stays as it is."),
    )
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=500,
        help_text=_("When it is sent, and by whom; for whoever finds it in the list."),
    )
    subject = forms.CharField(label=_("Subject"), required=False, max_length=1000)
    html = SourceField(label=_("HTML"), rows=18)
    text = SourceField(label=_("Text"), rows=6, help_text=_("Left empty, it is made from the HTML."))
    after = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    """The version that its author has seen."""

    def __init__(self, *args: Any, template: Template | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._template = template
        if template is not None:
            del self.fields["name"]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if Template.objects.filter(name=name).exists():
            raise forms.ValidationError(_("There is a template of that name; edit that one, or choose another name."))
        return name

    @property
    def sources(self) -> Sources:
        return Sources(**{name: self.cleaned_data.get(name, "") for name in ("subject", "text", "html")})

    def tell(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            place = problem.field if problem.field in self.fields else None
            self.add_error(place, f"{NAMES.get(problem.field, problem.field)} {problem.detail}")


class SampleField(forms.CharField):
    """JSON where it is some; any other text stands for itself."""

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value))
        try:
            return json.loads(text, parse_constant=_no_number) if text else ""
        except ValueError:
            return text

    def prepare_value(self, value: Any) -> Any:
        """As it is to be read again: the text ``17`` is told from the number."""
        if value in ("", None):
            return ""
        written = json.dumps(value, ensure_ascii=False)
        return value if isinstance(value, str) and self.clean(value) == value else written


def _no_number(name: str) -> float:
    raise ValueError(name)


def _named(name: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"placeholder": name, "aria-label": name})


class VariableForm(forms.Form):
    name = forms.CharField(max_length=100, widget=forms.HiddenInput)
    required = forms.BooleanField(label=_("Required"), required=False)
    secret = forms.BooleanField(label=_("Secret"), required=False)
    # On a telephone the rows have no heading.
    sample = SampleField(label=_("Sample"), required=False, widget=_named(_("Sample")))
    description = forms.CharField(
        label=_("Description"), required=False, max_length=300, widget=_named(_("Description"))
    )
    leave_out = forms.BooleanField(label=_("Remove"), required=False)


Rows = forms.formset_factory(VariableForm, extra=0, max_num=200, absolute_max=300)
PREFIX = "variables"


def rows_for(variables: Sequence[Variable]) -> Any:
    return Rows(initial=[variable.stored() for variable in variables], prefix=PREFIX)


def variables_in(rows: Any) -> list[Variable]:
    """Raises Undeclarable. The rows are valid."""
    kept = [dict(row.cleaned_data) for row in rows if row.cleaned_data and not row.cleaned_data["leave_out"]]
    for row in kept:
        del row["leave_out"]
    return declared.read(kept)
