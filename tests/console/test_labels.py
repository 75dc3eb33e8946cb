"""Every label that the admin declares is French for French readers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path, label_for_field
from django.utils import translation
from django.utils.translation import trans_real

pytestmark = pytest.mark.any_database

OURS = ("project", "routing", "notifications", "reporting")


def test_every_label_of_the_admin_is_french_or_is_so_by_decision() -> None:
    """A label that nobody marked is the same in both languages, and in no catalog."""
    admin.autodiscover()
    with translation.override("en"):
        english = dict(_labels())
    with translation.override("fr"):
        french = dict(_labels())

    assert len(english) > 150
    assert english.keys() == french.keys()
    assert {place: text for place, text in french.items() if text == english[place] and not _decided(text)} == {}


def _labels() -> Iterator[tuple[str, str]]:
    for app in apps.get_app_configs():
        if app.name in OURS and any(app.get_models()):
            yield app.name, str(app.verbose_name)
    for model in apps.get_models():
        if model.__module__.split(".")[0] in OURS:
            yield from _labels_of_model(model)
    for model, page in admin.site._registry.items():
        for name, text in _labels_of_page(model, page):
            yield f"{model.__name__} {name}", str(text or "")


def _labels_of_model(model: Any) -> Iterator[tuple[str, str]]:
    name, meta = model.__name__, model._meta
    yield name, str(meta.verbose_name)
    yield f"{name}, several", str(meta.verbose_name_plural)
    yield from ((f"{name} right {code}", str(text)) for code, text in meta.permissions)
    for field in meta.concrete_fields:
        if field.help_text:
            yield f"{name} {field.name} help", str(field.help_text)
        yield from ((f"{name} {field.name}={value}", str(text)) for value, text in field.choices or ())


def _labels_of_page(model: Any, page: Any) -> Iterator[tuple[str, Any]]:
    shown = [*page.list_display, *(page.fields or ()), *page.readonly_fields]
    for name in shown:
        # What only its form knows is labelled by the form.
        if isinstance(name, str) and (hasattr(page, name) or name in {one.name for one in model._meta.get_fields()}):
            yield name, label_for_field(name, model, page)
    for spec in page.list_filter:
        yield f"filter {spec}", _title_of_filter(model, spec)
    for _function, name, description in page._get_base_actions():
        yield f"action {name}", description
    yield from ((f"more {address}", title) for title, _icon, address in getattr(page, "more_pages", ()))
    yield from ((name, getattr(page, name, "")) for name in ("search_help_text", "menu_title"))
    for name, field in getattr(page.form, "base_fields", {}).items():
        yield f"form {name}", field.label or ""
        yield f"form {name} help", field.help_text


def _title_of_filter(model: Any, spec: Any) -> Any:
    if isinstance(spec, tuple):
        return getattr(spec[1], "own_title", "")
    return get_fields_from_path(model, spec)[-1].verbose_name if isinstance(spec, str) else spec.title


def _decided(text: str) -> bool:
    """Whether it has a French translation, if by the same word; forms begin a label with a capital."""
    known = trans_real.translation("fr")._catalog  # type: ignore[attr-defined]
    return not re.search("[A-Za-z]{2}", text) or text in known or f"{text[:1].lower()}{text[1:]}" in known
