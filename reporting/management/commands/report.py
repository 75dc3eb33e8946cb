"""``manage.py report NAME`` makes a report now, and sends it or writes it to a folder."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.utils import timezone

from reporting import reports, weekly, wording
from reporting.documents.document import Document
from reporting.forms import forms
from reporting.periods import NoSuchPeriod, Period
from reporting.reports.shape import Report
from reporting.weeks import Week
from routing.domains import registry


class Command(BaseCommand):
    help = (
        "Make a report now. The weekly one is sent to the recipients kept in the admin, or only to those named with "
        "--to; --out writes any report to a folder instead."
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
        parser.add_argument("--json", action="store_true", help="send nothing; print its figures as one JSON object")

    def handle(
        self, *, report: str, week: str | None, period: str | None, domain: list[str], to: list[str],
        out: Path | None, json: bool, **_: Any,
    ) -> None:  # fmt: skip
        if sum(map(bool, (out, to, json))) > 1:
            raise CommandError("--out and --json send nothing, --to sends. Please choose one of them.")
        chosen, now = reports.named(report), timezone.now()
        addresses = [_address(text) for text in to]
        wanted = _period(chosen, week or period, now)
        if not (out or json):
            _can_be_sent(chosen, domain)
        document = _build(chosen, wanted, now=now, domains=_domains(domain))
        if json:
            self._print(document)
            return
        self.stdout.write(f"{document.period_words}{'' if wanted.is_over(now) else ', so far'}")
        self.stdout.write(self.style.MIGRATE_HEADING(document.verdict))
        self.stdout.flush()
        if out:
            self._write(document, out)
        else:
            assert isinstance(wanted, Week)  # noqa: S101  (the weekly report's own)
            self._send(wanted, addresses, now)

    def _print(self, document: Document) -> None:
        self.stdout.write(json.dumps(document.as_json()))

    def _write(self, document: Document, folder: Path) -> None:
        written = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for form in forms().values():
                written.append(folder / f"{document.report}{form.suffix}")
                written[-1].write_bytes(form.render(document))
        except OSError as error:
            raise CommandError(
                f"Cannot write to {folder}: {error.strerror}. Name a folder that you may write to."
            ) from None
        self.stdout.write(f"Written, and not sent: {wording.listed([str(path) for path in written])}")

    def _send(self, week: Week, addresses: list[str], now: datetime) -> None:
        outcome = weekly.send_to(addresses, week, now=now) if addresses else weekly.send(week, now=now)
        self.stdout.write(_told(outcome))


def _period(report: Report, text: str | None, now: datetime) -> Period:
    try:
        return report.parse_period(text) if text else report.period_of(now)
    except NoSuchPeriod as error:
        raise CommandError(str(error)) from None


def _build(report: Report, period: Period, *, now: datetime, domains: frozenset[str] | None) -> Document:
    try:
        return report.build(period, now=now, domains=domains)
    except NoSuchPeriod as error:
        raise CommandError(str(error)) from None


def _can_be_sent(report: Report, domains: list[str]) -> None:
    if report.name != "weekly" or domains:
        raise CommandError(
            "This command sends the whole weekly report alone. Write this one to a folder with --out DIR; "
            "subscriptions in the admin send any."
        )


def _domains(names: list[str]) -> frozenset[str] | None:
    known = {domain.name for domain in registry()}
    for name in names:
        if name not in known:
            raise CommandError(f"There is no domain {name!r}. There are: {', '.join(sorted(known))}.")
    return frozenset(names) or None


def _told(outcome: weekly.Outcome) -> str:
    if not outcome.recipients:
        return (
            "It went to nobody: there are no active recipients. Add some in the admin, or name one with --to ADDRESS."
        )
    sentences = []
    if outcome.sent:
        sentences.append(f"{wording.counted(outcome.sent, 'mail')} handed to the notifications domain, which sends it.")
    if outcome.sent_before:
        sentences.append(
            f"{wording.counted(outcome.sent_before, 'recipient')} had it already; --to ADDRESS sends it again."
        )
    return " ".join(sentences)


def _address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        raise CommandError(f"{text!r} is no e-mail address. Write one such as --to jane@example.com") from None
    return text
