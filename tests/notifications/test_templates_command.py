"""``manage.py templates``: from one installation through files to another, all of them or none."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template, TemplateVersion

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def run(*words: Any) -> str:
    out = io.StringIO()
    call_command("templates", *map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def refused(*words: Any) -> str:
    out = io.StringIO()
    with pytest.raises(CommandError) as told:
        call_command("templates", *map(str, words), stdout=out, stderr=out)
    return f"{out.getvalue()}{told.value}"


@pytest.fixture
def order() -> Template:
    template = Template.objects.create(name="order", description="Grüße an Besteller")
    sources = Sources(subject="Order {{ number }}", text="", html="<p>{{ number }} für {{ name }}</p>\n")
    variables = [
        Variable(name="number", sample=17, description="As on the invoice"),
        Variable(name="name", sample="Ann", required=False, secret=True),
    ]
    versions.save(template, sources, variables, after=0)
    return template


@pytest.fixture
def folder(order: Template, tmp_path: Path) -> Path:
    run("export", tmp_path / "templates")
    return tmp_path / "templates"


def test_what_was_exported_is_imported_as_it_was(folder: Path, order: Template) -> None:
    first = order.versions.get()
    Template.objects.filter(pk=order.pk).update(name="kept")

    assert run("import", folder) == "order: added, version 1\n"

    made = Template.objects.get(name="order").versions.get()
    assert (made.subject, made.html, made.text, made.variables) == (
        first.subject,
        first.html,
        first.text,
        first.variables,
    )
    assert made.template.description == "Grüße an Besteller"
    assert run("import", folder) == "order: unchanged, version 1\n"


def test_the_files_are_such_as_people_review(folder: Path) -> None:
    assert {path.name for path in (folder / "order").iterdir()} == {"template.json", "subject.txt", "body.html"}
    assert (folder / "order" / "subject.txt").read_text() == "Order {{ number }}\n"
    about = json.loads((folder / "order" / "template.json").read_text())
    assert about["description"] == "Grüße an Besteller"
    assert [row["name"] for row in about["variables"]] == ["number", "name"]


def test_a_file_that_says_something_else_makes_a_new_version(folder: Path, order: Template) -> None:
    User.objects.create(username="ada")
    (folder / "order" / "body.txt").write_text("{{ number }}\r\n{{ name }}", newline="")

    assert run("import", folder, "--dry-run") == "order: would be changed, version 2\n"
    assert order.versions.count() == 1
    assert run("import", folder, "--by", "ada") == "order: changed, version 2\n"

    newest = versions.newest("order")
    assert newest.created_by is not None
    assert (newest.text, newest.created_by.username) == ("{{ number }}\n{{ name }}", "ada")


def test_one_that_cannot_be_used_keeps_all_out(folder: Path, order: Template) -> None:
    (folder / "order" / "subject.txt").write_text("Changed {{ number }}")
    bad = folder / "bad"
    bad.mkdir()
    (bad / "template.json").write_text("{}")
    (bad / "subject.txt").write_text("{% now 'Y' %}")
    (bad / "body.txt").write_text("{{ x }}")

    told = refused("import", folder)

    assert "bad: subject cannot be used: line 1: {% now %} is not allowed" in told
    assert "Nothing was imported. Correct these files, and import again." in told
    assert order.versions.count() == 1
    assert Template.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("template.json", b"{", "template.json is not JSON"),
        ("template.json", b"[]", "must be an object"),
        ("template.json", b'{"variabels": []}', "has variabels; it may have description and variables"),
        ("template.json", b'{"variables": [{"name": "a b"}]}', "'a b' cannot be the name of a variable"),
        ("template.json", b'{"variables": [{"name": "number", "sample": NaN}]}', "number has a NUL"),
        ("body.html", b"\xff\xfe", "body.html is not written in UTF-8. Save it so."),
        ("subject.txt", None, "subject.txt cannot be read: No such file"),
    ],
)
def test_a_file_that_is_none_is_named_with_the_cure(folder: Path, name: str, content: bytes | None, words: str) -> None:
    path = folder / "order" / name
    path.unlink() if content is None else path.write_bytes(content)

    assert words in refused("import", folder)
    assert TemplateVersion.objects.count() == 1


def test_wrong_words_tell_the_cure(folder: Path, tmp_path: Path) -> None:
    (folder / "order").rename(folder / "with space")
    empty = tmp_path / "empty"
    empty.mkdir()

    assert "with space: name must be of letters" in refused("import", folder)
    assert "is no folder. Name the one that templates were exported to." in refused("import", tmp_path / "none")
    assert "has no template: there is no" in refused("import", empty)
    assert "--by eve: there is no such user." in refused("import", folder, "--by", "eve")
    assert "'nothing' is no template. There are order." in refused("show", "nothing")
    assert "order has no version 7; its newest is 1." in refused("show", "order", "--number", "7")
    assert "'x' is no version; give its number" in refused("show", "order", "--number", "x")
    (tmp_path / "file").write_text("")
    assert "cannot be written: " in refused("export", tmp_path / "file")


def test_templates_are_listed_and_shown(order: Template) -> None:
    assert "order" in run("list")
    assert json.loads(run("list", "--json"))[0] | {"saved_at": ""} == {
        "name": "order",
        "version": 1,
        "saved_at": "",
        "retired_at": None,
        "description": "Grüße an Besteller",
    }
    shown = run("show", "order")
    assert "number (required): As on the invoice" in shown
    assert "name (secret)" in shown
    assert "--- HTML\n<p>{{ number }} für {{ name }}</p>" in shown
    assert json.loads(run("show", "order", "--json"))["variables"][0]["sample"] == 17


def test_without_templates_each_verb_says_so(tmp_path: Path) -> None:
    assert "There are no templates yet." in run("list")
    assert "There are no templates to write." in run("export", tmp_path)
