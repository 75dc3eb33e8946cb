"""``manage.py deliveries list|show|resend|cancel|decide``: whether people got what was sent to them."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q, QuerySet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifications import deciding, delivery_text, finding, reproducing
from notifications.delivering import UNKNOWN
from notifications.delivery_words import DeliveryRow, rows_of
from notifications.management import delivery_choice
from notifications.tables import Delivery
from routing.ledger import processes
from routing.management import bulk, reachable

State = Delivery.State
THING, THINGS = "delivery", "deliveries"
GROUPED = {"state": "State", "notification__category": "Category"}
_UNDECIDED = Q(state=State.SENDING, reason=UNKNOWN)
_RESENT = (State.FAILED, State.BOUNCED, State.CANCELLED, State.SUPPRESSED, State.SENT)


class Command(BaseCommand):
    help = "List and show deliveries, send them again, cancel them, or decide about those whose outcome is unknown."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|resend|cancel|decide")
        listing = verbs.add_parser("list", help="the newest first", description="List deliveries, the newest first.")
        delivery_choice.add_options(listing, states=State.values)
        listing.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (20)")
        listing.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        showing = verbs.add_parser("show", help="one, with its message", description="Show a delivery.")
        showing.add_argument("term", metavar="WHICH", help="its number, or whatever finds one")
        how = showing.add_mutually_exclusive_group()
        how.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        how.add_argument("--source", action="store_true", help="print the message's source, to be kept as a file")
        resending = verbs.add_parser("resend", help="send them again", description=_RESEND)
        delivery_choice.add_options(resending, states=[str(state) for state in _RESENT])
        cancelling = verbs.add_parser("cancel", help="stop those that are pending", description=_CANCEL)
        delivery_choice.add_options(cancelling, states=[State.PENDING.value])
        deciding_ = verbs.add_parser("decide", help="say what became of them", description=_DECIDE)
        delivery_choice.add_options(deciding_, states=[State.SENDING.value])
        which = deciding_.add_mutually_exclusive_group(required=True)
        which.add_argument("--sent", action="store_true", dest="was_sent", help="they were sent")
        which.add_argument("--again", action="store_true", help="send them again")
        for each in (resending, cancelling, deciding_):
            bulk.add_options(each)

    def handle(self, *, verb: str, **options: Any) -> None:
        act = {
            "list": self._list,
            "show": self._show,
            "resend": self._resend,
            "cancel": self._cancel,
            "decide": self._decide,
        }[verb]
        with reachable.database(also="" if verb in ("list", "show") else reachable.NOTHING_IS_LOST):
            act(options)

    def _list(self, options: Mapping[str, Any]) -> None:
        among = Q(state=options["state"]) if options["state"] else Q()
        rows = delivery_choice.chosen(options, among=among, needs_all=False)
        limit = options["limit"]
        newest = list(rows.select_related("notification__template__template").order_by("-pk")[: limit + 1])
        seen = rows_of(newest[:limit])
        if options["as_json"]:
            listed = [delivery_text.summary(one) for one in seen.values()]
            self.stdout.write(json.dumps({"deliveries": listed, "more": len(newest) > limit}, indent=2))
            return
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        if seen:
            console.print(_table(list(seen.values())))
        console.print(_told(len(seen), more=len(newest) > limit), highlight=False)

    def _show(self, options: Mapping[str, Any]) -> None:
        found = finding.deliveries(options["term"])
        rows = Delivery.objects.filter(found.where).select_related("notification__template__template")
        newest = list(rows.order_by("-pk")[:2])
        if not newest:
            raise CommandError(f"No delivery is found by {options['term']!r}. deliveries list names the newest.")
        seen = rows_of(newest)[newest[0].pk]
        if options["source"]:
            self._source(newest[0])
        elif options["as_json"]:
            self.stdout.write(json.dumps(delivery_text.as_json(seen), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(delivery_text.as_text(seen))
            if len(newest) > 1:
                self.stdout.write(f"\nThis is the newest of several: deliveries list {options['term']}")

    def _source(self, row: Delivery) -> None:
        made = reproducing.reproduce(row)
        if made.content is None:
            raise CommandError(f"Its message cannot be shown. {made.problem}")
        try:
            source = reproducing.source(row, made.content).content
        except OSError as error:
            raise CommandError(f"Its attachment cannot be read: {error}.") from None
        sys.stdout.flush()
        sys.stdout.buffer.write(source)

    def _resend(self, options: Mapping[str, Any]) -> None:
        states = [options["state"]] if options["state"] else list(_default_states(options))
        rows = delivery_choice.chosen(options, among=Q(state__in=states))
        twice = rows.filter(state=State.SENT).count()
        notes = [f"{twice:,} of them were sent already: their recipients get it twice."] if twice else []
        by = _whoever()
        self._bulk("resend", rows, options, lambda one: deciding.resend(one, by=by), notes=notes)

    def _cancel(self, options: Mapping[str, Any]) -> None:
        rows, by = delivery_choice.chosen(options, among=Q(state=State.PENDING)), _whoever()
        self._bulk("cancel", rows, options, lambda one: deciding.cancel(one, by=by))

    def _decide(self, options: Mapping[str, Any]) -> None:
        rows, by, was_sent = delivery_choice.chosen(options, among=_UNDECIDED), _whoever(), options["was_sent"]
        verb = "record as sent" if was_sent else "send again"
        self._bulk(verb, rows, options, lambda one: deciding.decide(one, was_sent=was_sent, by=by))

    def _bulk(
        self,
        verb: str,
        rows: "QuerySet[Delivery]",
        options: Mapping[str, Any],
        decision: deciding.Decision,
        *,
        notes: Sequence[str] = (),
    ) -> None:
        deed = bulk.Deed(
            verb=verb,
            thing=THING,
            things=THINGS,
            rows=rows,
            by=GROUPED,
            example=("answer", "Answer, of one of them"),
            act=lambda keys: deciding.each(keys, decision),
            notes=notes,
        )
        bulk.run(self, deed, dry_run=options["dry_run"], yes=options["yes"], as_json=options["as_json"])


_RESEND = (
    "Send deliveries again, under the same Message-ID, each by a task of its own. Those that failed or bounced, unless "
    "--state says another, or they are named. A suppressed recipient is left."
)
_CANCEL = "Cancel deliveries that no worker has begun to hand over, with their tasks. An outcome is never changed."
_DECIDE = "Decide about deliveries that a server may have taken, without its having said so: --sent or --again."


def _default_states(options: Mapping[str, Any]) -> Sequence[str]:
    """Who names them means them, whatever became of them; who says which kind means what went wrong."""
    return _RESENT if options["terms"] and all(term.isdigit() for term in options["terms"]) else _RESENT[:2]


def _whoever() -> str:
    return f"{processes.whoever()} (command line)"


def _table(rows: Sequence[DeliveryRow]) -> Table:
    table = Table(show_lines=True)
    table.add_column("No.", justify="right", no_wrap=True)
    table.add_column("To, and what", overflow="fold", ratio=1)
    table.add_column("State and answer", overflow="fold", ratio=1)
    table.add_column("When", no_wrap=True)
    for seen in rows:
        row = seen.row
        when = str(naturaltime(row.finished_at or row.created_at)).replace("\xa0", " ")
        what, state = f"{row.address}\n{str(row.notification)[:80]}", f"{seen.state.word}\n{seen.why[:200]}".rstrip()
        table.add_row(str(row.pk), escape(what), escape(state), when)
    return table


def _told(count: int, *, more: bool) -> str:
    if not count:
        return "There are no such deliveries."
    if more:
        return f"The newest {count:,} of them. --limit shows more."
    return "1 delivery." if count == 1 else f"{count:,} deliveries."


def _positive(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000.")
    return int(text)
