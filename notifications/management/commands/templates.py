"""``manage.py templates list|show|export|import|retire|restore``: what notifications say, also as files."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Max
from rich.console import Console
from rich.table import Table

from notifications.templating import folder, moving, retiring, versions
from notifications.templating.folder import Unreadable
from notifications.templating.moving import Move, Step
from notifications.templating.tables import Template, TemplateVersion
from notifications.templating.versions import InvalidTemplate, Outdated
from routing.management import reachable

TOLD = {Step.ADD: "added", Step.CHANGE: "changed", Step.KEEP: "unchanged"}
WOULD = {Step.ADD: "would be added", Step.CHANGE: "would be changed", Step.KEEP: "is the same"}


class Command(BaseCommand):
    help = (
        "Show the templates of notifications, write them to files, and bring them back from there: a template that "
        "says something else gets a new version, and the old ones stay. Exit status: 0 done or shown, 1 refused."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|export|import|retire|restore")
        listing = verbs.add_parser("list", help="each template, with its newest version")
        show = verbs.add_parser("show", help="what a template says, and what it must be given")
        show.add_argument("name", metavar="NAME", help="such as password-reset")
        show.add_argument("--number", type=_number, metavar="N", help="this version; the newest, if left out")
        for verb in (listing, show):
            verb.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        export = verbs.add_parser("export", help="write the newest versions to a folder, one folder for each template")
        export.add_argument("folder", type=Path, metavar="FOLDER")
        export.add_argument("names", nargs="*", metavar="NAME", help="only these; all but retired ones, if left out")
        for deed, about in (("retire", "refuse calls of it; what is stored goes out"), ("restore", "take calls again")):
            turn = verbs.add_parser(deed, help=about)
            turn.add_argument("name", metavar="NAME", help="such as password-reset")
            turn.add_argument("--by", default="", metavar="USER", help="the user who is named in the admin's history")
        bring = verbs.add_parser("import", help="make new versions of what the files say; all of them, or none")
        bring.add_argument("folder", type=Path, metavar="FOLDER")
        bring.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        bring.add_argument("--by", default="", metavar="USER", help="the user whose name the versions carry")

    def handle(self, *, verb: str, **options: Any) -> None:
        deed = {
            "list": self._list,
            "show": self._show,
            "export": self._export,
            "import": self._import,
            "retire": self._retire,
            "restore": self._restore,
        }
        try:
            with reachable.database():
                deed[verb](options)
        except (Unreadable, Outdated) as error:
            raise CommandError(str(error)) from None

    def _list(self, options: dict[str, Any]) -> None:
        rows = Template.objects.annotate(number=Max("versions__number"), saved_at=Max("versions__created_at"))
        if options["as_json"]:
            self._print([_row(row) for row in rows])
        elif not rows:
            self.stdout.write("There are no templates yet. Write one in the admin, or import some.")
        else:
            table = Table("Template", "Version", "Saved", "Retired", "Description", box=None, pad_edge=False)
            for row in rows:
                saved = f"{row.saved_at:%Y-%m-%d %H:%M}" if row.saved_at else ""
                retired = f"{row.retired_at:%Y-%m-%d}" if row.retired_at else ""
                table.add_row(row.name, str(row.number or ""), saved, retired, row.description)
            Console(file=self.stdout).print(table)  # type: ignore[arg-type]

    def _show(self, options: dict[str, Any]) -> None:
        version = _version(options["name"], options["number"])
        if options["as_json"]:
            self._print(_document(version))
            return
        self.stdout.write(f"{version}, saved {version.created_at:%Y-%m-%d %H:%M}")
        if version.template.retired_at:
            self.stdout.write(f"Retired on {version.template.retired_at:%Y-%m-%d}: calls of it are refused.")
        for variable in versions.declared_by(version):
            flags = [flag for flag in ("required", "secret") if getattr(variable, flag)]
            about = f": {variable.description}" if variable.description else ""
            self.stdout.write(f"  {variable.name} ({', '.join(flags) or 'optional'}){about}")
        said = {"": versions.sources_of(version), **versions.translations_of(version)}
        for language, sources in said.items():
            for name, source in sources.parts:
                if source:
                    self.stdout.write(f"\n--- {name}{language and f' ({language})'}\n{source.rstrip()}")

    def _export(self, options: dict[str, Any]) -> None:
        in_use = Template.objects.filter(versions__number=1, retired_at=None)
        names = options["names"] or list(in_use.values_list("name", flat=True))
        found = [_version(name, None) for name in names]
        try:
            for version in found:
                self.stdout.write(f"{folder.write(options['folder'], version)}: version {version.number}")
        except OSError as error:
            where = error.filename or options["folder"]
            raise CommandError(
                f"{where} cannot be written: {error.strerror}. Name a folder that you may write to."
            ) from None
        self.stdout.write(f"{len(found)} written." if found else "There are no templates to write.")

    def _import(self, options: dict[str, Any]) -> None:
        by = _user(options["by"])
        found = list(folder.read(options["folder"]))
        wrong = [(filed.name, problem) for filed in found for problem in moving.problems(filed)]
        for name, problem in wrong:
            self.stderr.write(f"{name}: {problem.field} {problem.detail}")
        if wrong:
            raise CommandError("Nothing was imported. Correct these files, and import again.")
        moves = moving.plan(found)
        if not options["dry_run"]:
            try:
                moving.carry_out(moves, by=by)
            except InvalidTemplate as error:
                raise CommandError(f"Nothing was imported: {error}") from None
        self._report(moves, TOLD if not options["dry_run"] else WOULD)

    def _retire(self, options: dict[str, Any]) -> None:
        version = _version(options["name"], None)
        if not retiring.retire(version.template, by=_user(options["by"])):
            raise CommandError(f"{options['name']} is retired already.")
        self.stdout.write(f"{options['name']} is retired: calls of it are refused. What is stored still goes out.")

    def _restore(self, options: dict[str, Any]) -> None:
        version = _version(options["name"], None)
        if not retiring.restore(version.template, by=_user(options["by"])):
            raise CommandError(f"{options['name']} is not retired.")
        self.stdout.write(f"{options['name']} is restored: version {version.number} is sent when it is called.")

    def _report(self, moves: list[Move], words: dict[Step, str]) -> None:
        for move in moves:
            self.stdout.write(f"{move.filed.name}: {words[move.step]}, version {move.number}")

    def _print(self, document: Any) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no version; give its number, such as 3.")
    return int(text)


def _version(name: str, number: int | None) -> TemplateVersion:
    try:
        newest = versions.newest(name)
    except LookupError:
        known = ", ".join(Template.objects.values_list("name", flat=True)[:20])
        raise CommandError(f"{name!r} is no template. There are {known or 'none yet'}.") from None
    if number is None or number == newest.number:
        return newest
    found = TemplateVersion.objects.select_related("template").filter(template=newest.template, number=number).first()
    if found is None:
        raise CommandError(f"{name} has no version {number}; its newest is {newest.number}.")
    return found


def _user(name: str) -> Any:
    if not name:
        return None
    model = get_user_model()
    found = model.objects.filter(**{model.USERNAME_FIELD: name}).first()
    if found is None:
        raise CommandError(f"--by {name}: there is no such user. Leave it out, or name one who signs in to the admin.")
    return found


def _row(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.number,
        "saved_at": _moment(row.saved_at),
        "retired_at": _moment(row.retired_at),
        "description": row.description,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _document(version: TemplateVersion) -> dict[str, Any]:
    sources = versions.sources_of(version)
    return {
        "name": version.template.name,
        "description": version.template.description,
        "version": version.number,
        "saved_at": version.created_at.isoformat(),
        "retired_at": _moment(version.template.retired_at),
        "subject": sources.subject,
        "html": sources.html,
        "text": sources.text,
        "translations": {language: vars(said) for language, said in versions.translations_of(version).items()},
        "variables": [variable.stored() for variable in versions.declared_by(version)],
    }
