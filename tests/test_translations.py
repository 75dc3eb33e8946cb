"""What people read is marked for translation; all of it is translated, with the same placeholders, and compiled."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import django
import pytest
import unfold
from django.conf import settings
from django.utils import translation
from django.utils.translation import trans_real

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


# --- Forgotten to be marked

MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
NOW = {"gettext", "ngettext", "pgettext"}
SHOWN = {"label", "help_text", "verbose_name", "verbose_name_plural", "short_description", "search_help_text"}
"""Keywords and attributes."""
PLACES = {
    "messages": 1,
    "message_user": 1,
    "add_error": 1,
    "log_change": 2,
    "Verdict": 1,
    "ValidationError": 0,
    "Told": 1,
}
"""Which argument of a call people read."""
LEVELS = {"success", "warning", "error", "info"}
BLOCK = re.compile(r"\{%\s*(?:blocktrans|blocktranslate)\b.*?\{%\s*end(?:blocktrans|blocktranslate)\s*%\}", re.DOTALL)
UNREAD = re.compile(r"<(style|script|pre|code)\b.*?</\1>|<!--.*?-->|\{#.*?#\}", re.DOTALL)
LETTERS = re.compile(r"[A-Za-z]{2}")
NAMES = ("Taskyard", "CSV", "JSON")
SAMPLES = ("hello.html", "hello.txt")
"""Sent to try whether mail works; whoever does that gives their own text, or this one."""


@pytest.fixture(scope="module")
def code() -> list[tuple[Path, ast.Module]]:
    """The modules whose texts pages and mails show. What commands print is English."""
    found = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py"))]
    read = [path for path in found if not {"migrations", "management"} & set(path.parts)]
    return [(path, ast.parse(path.read_text())) for path in read]


def test_no_text_is_marked_where_it_is_not_collected(code: list[tuple[Path, ast.Module]]) -> None:
    """xgettext does not look into f-strings: what is marked in one is never translated, and nothing tells."""
    wrong = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, tree in code
        for text in ast.walk(tree)
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call) and _name(call.func) in MARKS and call.args and _bare(call.args[0])
    ]

    assert wrong == [], "Translate it before the f-string, and put that into it."


def test_no_text_is_translated_when_its_module_is_imported(code: list[tuple[Path, ast.Module]]) -> None:
    """It would stay in the language of that moment, for all readers. There gettext_lazy is right."""
    wrong = [f"{path.relative_to(ROOT)}:{line}" for path, tree in code for line in _at_import(tree, _eager(tree))]

    assert wrong == []


def test_no_page_says_what_is_not_marked(code: list[tuple[Path, ast.Module]]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{shown.lineno}: {ast.unparse(shown)[:60]}"
        for path, tree in code
        for shown in _shown(tree)
        if _bare(shown)
    ]

    assert wrong == []


@pytest.mark.parametrize("app", APPS)
def test_templates_hold_no_words_that_are_not_marked(app: str) -> None:
    wrong = []
    for path in sorted((ROOT / app).rglob("templates/**/*.*")):
        words = [word for word in _words(path.read_text()) if word not in NAMES]
        if words and path.name not in SAMPLES:
            wrong.append((str(path.relative_to(ROOT)), words))

    assert wrong == []


def _words(source: str) -> list[str]:
    for pattern in (BLOCK, UNREAD):
        source = pattern.sub("", source)
    titles = re.findall(r'\b(?:title|aria-label|placeholder|alt)="([^"{]*)"', source)
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>|&#?\w+;", " ", source, flags=re.DOTALL)
    return [word for text in (bare, *titles) for word in text.split() if LETTERS.search(word) and "." not in word[1:-1]]


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _bare(text: ast.expr) -> bool:
    """Whether it has words that stand there as they are."""
    match text:
        case ast.Constant(value=str(words)):
            # Such as gave_up: a name for machines.
            return bool(LETTERS.search(words)) and "_" not in words
        case ast.JoinedStr(values=parts):
            return any(_bare(part) for part in parts)
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            return _bare(one) or _bare(other)
    return False


def _shown(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (each.value for each in node.keywords if each.arg in SHOWN)
            is_message = _name(node.func) in LEVELS and ast.unparse(node.func).startswith("messages.")
            place = PLACES.get("messages" if is_message else _name(node.func))
            yield from [] if place is None else node.args[place : place + 1]
        elif isinstance(node, ast.Assign) and any(_name(target) in SHOWN - {"label"} for target in node.targets):
            yield node.value


def _eager(tree: ast.Module) -> set[str]:
    """What the module calls those that translate at once."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    found = [one for each in imports if each.module == "django.utils.translation" for one in each.names]
    return {one.asname or one.name for one in found if one.name in NOW}


def _at_import(node: ast.AST, eager: set[str]) -> Iterator[int]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in eager:
            yield child.lineno
        if isinstance(child, ast.FunctionDef):
            for part in (*child.decorator_list, *child.args.defaults):
                yield from _at_import(ast.Expr(part), eager)
        elif not isinstance(child, ast.Lambda):
            yield from _at_import(child, eager)


# --- The theme, which brings no French

ELSEWHERE = {
    # Of widgets, lists and pages that nothing here has.
    "Dataset not found. No action performed.",
    "Select currency",
    "You can not create nested object without parent",
}
IN_TEMPLATE = re.compile(r"""\{%\s*trans(?:late)?\s+(["'])(.+?)\1""")
IN_CODE = re.compile(r"""\b(?:_|gettext|gettext_lazy)\(\s*(["'])(.+?)\1\s*,?\s*\)""")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_the_theme_are_borrowed(language: str) -> None:
    theme = Path(unfold.__file__).parent
    found = set()
    for path in (*theme.glob("*.py"), *theme.glob("mixins/*.py"), *theme.glob("templates/**/*.html")):
        pattern = IN_TEMPLATE if path.suffix == ".html" else IN_CODE
        if "crispy" not in str(path):
            found |= {text for _quote, text in pattern.findall(path.read_text())}
    with translation.override(language):
        english = sorted(text for text in found - ELSEWHERE if not _known(text))

    assert len(found) > 50
    assert english == [], "Add them to project/borrowed_words.py. " + CURE


def _known(text: str) -> bool:
    """Whether somebody has translated it, if perhaps by the same word."""
    spoken = translation.get_language() or ""
    return text in trans_real.translation(spoken)._catalog  # type: ignore[attr-defined]
