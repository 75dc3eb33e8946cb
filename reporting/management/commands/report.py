"""``manage.py report weekly`` makes a weekly report now, and sends it or writes it to a folder."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.utils import timezone

from reporting import mail, weekly, wording
from reporting.figures import Figures
from reporting.weeks import NoSuchWeek, Week


class Command(BaseCommand):
    help = "Make a report now, and send it to the recipients kept in the admin, or only to those named with --to."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("report", choices=["weekly"], help="which report")
        parser.add_argument("--week", metavar="YYYY-Www", help="such as 2026-W46; by default the last whole week")
        parser.add_argument(
            "--to", action="append", default=[], metavar="ADDRESS",
            help="send it to this address alone, also if it has had it; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--out", metavar="DIR", type=Path, help="send nothing; write weekly.html and weekly.txt to DIR"
        )

    def handle(self, *, week: str | None, to: list[str], out: Path | None, **_: Any) -> None:
        if out and to:
            raise CommandError("--out writes files and sends nothing, --to sends. Please choose one of them.")
        now = timezone.now()
        addresses = [_address(text) for text in to]
        try:
            wanted = Week.parse(week) if week else Week.of(now).previous()
            figures = weekly.read(wanted, now=now)
        except NoSuchWeek as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Week {wanted}, {wording.days(wanted)}{'' if figures.is_over else ', so far'}")
        self.stdout.write(self.style.MIGRATE_HEADING(wording.verdict(figures)))
        self.stdout.flush()
        if out:
            self._write(figures, out)
        else:
            self._send(wanted, addresses, now)

    def _write(self, figures: Figures, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weekly.html").write_text(mail.html(figures), encoding="utf-8")
            (folder / "weekly.txt").write_text(mail.text(figures), encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"Cannot write to {folder}: {error.strerror}. Name a folder that you may write to."
            ) from None
        self.stdout.write(f"Written, and not sent: {folder / 'weekly.html'} and {folder / 'weekly.txt'}")

    def _send(self, week: Week, addresses: list[str], now: datetime) -> None:
        try:
            outcome = weekly.send_to(addresses, week, now=now) if addresses else weekly.send(week, now=now)
        except weekly.BrokerAway as error:
            raise CommandError(
                f"{error}\nStart the pipeline (make up) and run this command again. {_again(addresses)}"
            ) from None
        self.stdout.write(_told(outcome))


def _again(addresses: list[str]) -> str:
    if addresses:
        return "Name only those who did not get it: --to sends again."
    return "The report of a week that is over goes to each recipient once."


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
