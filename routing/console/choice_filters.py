"""Lists narrowed to one of a field's choices, under a title of ours: what a field is called by itself is English."""

from typing import Any, ClassVar

from django.contrib import admin


class _Titled(admin.ChoicesFieldListFilter):
    own_title: ClassVar[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = self.own_title


def choice_of(title: Any) -> type[_Titled]:
    return type("ChoiceFilter", (_Titled,), {"own_title": title})
