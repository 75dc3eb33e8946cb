"""Whatever is marked for translation is translated: all of it, with the same placeholders, and compiled."""

import os
import re
import shutil
import subprocess
import sys
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings

from tests.services import missing

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted(path.parent.name for path in ROOT.glob("*/locale"))
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]
CURE = "Run make messages, and translate what it finds."
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{\w*\}|<[^>]+>")

Key = str | tuple[str, int]


@pytest.fixture(scope="module", params=APPS)
def app(request: Any) -> str:
    if not shutil.which("xgettext"):
        missing("xgettext is not installed. Debian: apt-get install gettext")
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def marked(app: str, tmp_path_factory: pytest.TempPathFactory) -> dict[Key, str]:
    """Each text of the app that is marked, and itself; of those that count something, the singular and the plural."""
    folder = tmp_path_factory.mktemp(app)
    ignored = shutil.ignore_patterns("__pycache__", "LC_MESSAGES", "static")
    shutil.copytree(ROOT / app, folder / app, ignore=ignored)
    (folder / app / "locale").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "fr", "--keep-pot", "--verbosity", "0"]
    # Without the settings, which it can do without, and would not find from there.
    bare = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=folder / app, env=bare, check=True, timeout=120)
    found = folder / app / "locale" / "django.pot"
    found.write_text(found.read_text().replace("nplurals=INTEGER; plural=EXPRESSION", "nplurals=2; plural=n != 1"))
    subprocess.run(["msgen", "--output-file", folder / "all.po", found], check=True, timeout=120)
    return compiled(folder / "all.po")


def compiled(source: Path, target: Path | None = None) -> dict[Key, str]:
    target = target or source.with_suffix(".compiled")
    subprocess.run(["msgfmt", "--output-file", target, source], check=True, timeout=120)
    return catalog(target)


def catalog(path: Path) -> dict[Key, str]:
    """By text; of plural forms, by text and number. Fuzzy and empty translations are not in it."""
    with path.open("rb") as file:
        held: dict[Key, str] = GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {key: text for key, text in held.items() if key}


def messages(app: str, language: str, suffix: str) -> Path:
    return ROOT / app / "locale" / language / "LC_MESSAGES" / f"django{suffix}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_nothing_else_is(app: str, language: str, marked: dict[Key, str]) -> None:
    translated = catalog(messages(app, language, ".mo"))

    assert len(marked) > 3
    assert [key for key in marked if not translated.get(key)] == [], CURE
    assert [key for key in translated if key not in marked] == [], f"No longer used. {CURE}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_placeholder_and_no_tag_is_lost_or_made_up(app: str, language: str, marked: dict[Key, str]) -> None:
    wrong = []
    for key, text in catalog(messages(app, language, ".mo")).items():
        wanted = sorted(PLACEHOLDER.findall(marked.get(key, "")))
        # Where there is one, one form may say its number in words, in either language.
        also = sorted(PLACEHOLDER.findall(marked.get((key[0], 1), ""))) if isinstance(key, tuple) else wanted
        if sorted(PLACEHOLDER.findall(text)) not in (wanted, also):
            wrong.append((key, text))

    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_was_translated(app: str, language: str, tmp_path: Path) -> None:
    assert compiled(messages(app, language, ".po"), tmp_path / "fresh") == catalog(messages(app, language, ".mo")), CURE


@pytest.mark.parametrize("app", APPS)
def test_french_has_no_line_end_before_its_tall_punctuation(app: str) -> None:
    loose = re.compile(r"\w ?[;!?](?=\s|$)|\w :(?=\s|$)|\w:(?=\s)|« | »|[a-zé]'[a-zéèêh]")

    wrong = [text for text in catalog(messages(app, "fr", ".mo")).values() if loose.search(plain(text))]

    assert wrong == []


def plain(text: str) -> str:
    """Without what is for machines: placeholders, tags and entities."""
    return re.sub(r"%\(\w+\)[a-z]|<[^>]+>|&#?\w+;|\{[^}]*\}|--\S+|\w+:[^\s,)]+|since:|until:", "x", text)


def test_every_app_has_its_translations() -> None:
    assert APPS == ["notifications", "project", "reporting", "routing"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_has_one_translation_whichever_app_marks_it(language: str) -> None:
    """Django puts the catalogs of all apps together, over its own: “may” said of a token renamed a month."""
    core = Path(django.__file__).parent / "conf" / "locale" / language / "LC_MESSAGES" / "django.mo"
    meanings: dict[Key, set[str]] = {}
    for path in [core, *(messages(app, language, ".mo") for app in APPS)]:
        for key, text in catalog(path).items():
            meanings.setdefault(key, set()).add(text)

    assert {key: texts for key, texts in meanings.items() if len(texts) > 1} == {}
