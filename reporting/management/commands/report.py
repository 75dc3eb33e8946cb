"""``manage.py report NAME`` makes a report now, and sends it or writes it to a folder."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.utils import timezone, translation

from reporting import forms, reports, wording
from reporting.documents.document import Document
from reporting.forms.shape import Form, FormAway
from reporting.periods import NoSuchPeriod, Period
from reporting.reports.shape import Report
from reporting.runs import ordering
from routing.domains import registry


class Command(BaseCommand):
    help = (
        "Make a report now. It is sent to those who are subscribed to it and have not had it, or only to those named "
        "with --to; --out writes it to a folder instead."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("report", choices=list(reports.reports()), help="which report")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--week", metavar="YYYY-Www", help="such as 2026-W46; by default the last whole week")
        when.add_argument("--period", help="of any report: a week such as 2026-W46, or a day such as 2026-11-16")
        parser.add_argument(
            "--domain", action="append", default=[], metavar="NAME",
            help="about this domain alone, with --out or --json; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--to", action="append", default=[], metavar="ADDRESS",
            help="send it to this address alone, also if it has had it; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--out", metavar="DIR", type=Path, help="send nothing; write it to DIR, in every form that there is"
        )
        parser.add_argument(
            "--form", action="append", default=[], choices=list(forms.forms()),
            help="with --out, in this form alone; with --to, attached to the mail; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--language", choices=[code for code, _name in settings.LANGUAGES],
            help="with --out, --json or --to; whoever is subscribed gets it in their own",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="send nothing; print its figures as one JSON object")

    def handle(
        self, *, report: str, week: str | None, period: str | None, domain: list[str], to: list[str],
        out: Path | None, form: list[str], language: str | None, json: bool, **_: Any,
    ) -> None:  # fmt: skip
        if sum(map(bool, (out, to, json))) > 1:
            raise CommandError("--out and --json send nothing, --to sends. Please choose one of them.")
        if form and not (out or to):
            raise CommandError("--form goes with --out DIR, which writes files, or --to ADDRESS, which attaches them.")
        if language and not (out or to or json):
            raise CommandError("--language goes with --out, --json or --to. Who is subscribed gets it in their own.")
        chosen, now, language = reports.named(report), timezone.now(), language or settings.LANGUAGE_CODE
        addresses, attached = [_address(text) for text in to], _attached(form) if to else ""
        wanted = _period(chosen, week or period, now)
        if domain and not (out or json):
            raise CommandError(
                "--domain goes with --out DIR or --json. Who is to be sent some domains only subscribes to these."
            )
        document = _build(chosen, wanted, now=now, domains=_domains(domain), language=language)
        if json:
            self._print(document)
            return
        self.stdout.write(f"{document.period_words}{'' if wanted.is_over(now) else ', so far'}")
        self.stdout.write(self.style.MIGRATE_HEADING(document.verdict))
        self.stdout.flush()
        if out:
            self._write(document, out, [forms.named(name) for name in form or forms.forms()], asked=bool(form))
        else:
            self._send(chosen, wanted, addresses, now, attached=attached, language=language)

    def _print(self, document: Document) -> None:
        self.stdout.write(json.dumps(document.as_json()))

    def _write(self, document: Document, folder: Path, chosen: list[Form], *, asked: bool) -> None:
        written = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for form in chosen:
                path = folder / f"{document.report}{form.suffix}"
                if (content := self._rendered(form, document, path.name, asked=asked)) is not None:
                    path.write_bytes(content)
                    written.append(path)
        except OSError as error:
            raise CommandError(
                f"Cannot write to {folder}: {error.strerror}. Name a folder that you may write to."
            ) from None
        self.stdout.write(f"Written, and not sent: {wording.listed([str(path) for path in written])}")

    def _rendered(self, form: Form, document: Document, name: str, *, asked: bool) -> bytes | None:
        """None where it cannot be made here, and was not asked for by its name."""
        try:
            return form.render(document)
        except FormAway as away:
            if asked:
                raise CommandError(f"{name} cannot be written. {away}") from None
            self.stderr.write(self.style.WARNING(f"{name} is left out. {away}"))
            return None

    def _send(
        self, report: Report, period: Period, addresses: list[str], now: datetime, *, attached: str, language: str
    ) -> None:
        if addresses:
            outcome = ordering.send_to(report, period, addresses, now=now, attached=attached, language=language)
        else:
            outcome = ordering.send_now(report, period, now=now)
        self.stdout.write(_told(outcome))


def _period(report: Report, text: str | None, now: datetime) -> Period:
    try:
        return report.parse_period(text) if text else report.period_of(now)
    except NoSuchPeriod as error:
        raise CommandError(str(error)) from None


def _build(report: Report, period: Period, *, now: datetime, domains: frozenset[str] | None, language: str) -> Document:
    try:
        with translation.override(language):
            return report.build(period, now=now, domains=domains)
    except NoSuchPeriod as error:
        raise CommandError(str(error)) from None


def _domains(names: list[str]) -> frozenset[str] | None:
    known = {domain.name for domain in registry()}
    for name in names:
        if name not in known:
            raise CommandError(f"There is no domain {name!r}. There are: {', '.join(sorted(known))}.")
    return frozenset(names) or None


def _attached(names: list[str]) -> str:
    for name in names:
        if name not in forms.attachable():
            known = ", ".join(forms.attachable())
            raise CommandError(f"The mail itself is {name}. What can be attached to it: {known}.")
    return ",".join(sorted(set(names)))


def _told(outcome: ordering.Outcome) -> str:
    if not outcome.recipients:
        return (
            "It went to nobody: there are no active recipients. Add some in the admin, or name one with --to ADDRESS."
        )
    sentences = []
    if outcome.sent:
        sentences.append(f"{_counted(outcome.sent, 'mail')} handed to the notifications domain, which sends it.")
    if outcome.sent_before:
        sentences.append(f"{_counted(outcome.sent_before, 'recipient')} had it already; --to ADDRESS sends it again.")
    if not sentences:
        return "There is nothing to tell, so it went to nobody; --to ADDRESS sends it all the same."
    return " ".join(sentences)


def _counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'s'[: value != 1]}"


def _address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise CommandError(f"{text!r} is no e-mail address. Write one such as --to jane@example.com") from None
    return text
