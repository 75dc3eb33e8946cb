"""The form of an API token: who it is for, and what it may do, each scope a box to tick with its words beside it."""

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from routing.console import scopes
from routing.console.tokens import ApiToken


def choices() -> list[tuple[str, SafeString]]:
    return [
        (scope.name, format_html("{} <code>{}</code>", scope.words, scope.name)) for scope in scopes.registry().values()
    ]


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        choices=choices,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Give it what its program needs and no more; you can change this later."),
        error_messages={"required": _("Tick at least one; a token that may do nothing is of no use.")},
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = [scope.name for scope in scopes.registry().values() if scope.usual]
        self.initial["scopes"] = self.instance.scopes.split() if self.instance.pk else usual

    def clean_scopes(self) -> str:
        return " ".join(self.cleaned_data["scopes"])
