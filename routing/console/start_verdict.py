"""The start page's first sentence: whether everything is all right, and else what is not and where its cure is."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing.console import survey
from routing.console.cures import Advice
from routing.console.glance import Glance
from routing.console.number_words import grouped
from routing.console.queue_figures import QueueFigures
from routing.console.schedule_life import Need
from routing.console.survey import Survey
from routing.console.time_words import short, since
from routing.console.verdict import Verdict
from routing.domains import Domain, registry

Domains = Sequence[tuple[Domain, QueueFigures]]

LONG_WAIT = timedelta(minutes=10)
"""That something is due and has not begun, however long its domain lets tasks wait."""
MANY_FAILED = 10
"""In a day: fewer are no share of anything."""


def start_verdict(seen: Survey, figures: Glance, *, domains: Domains) -> Verdict:
    wrong = [*_wrong(seen), *_books(figures)]
    looks = [*seen.looks, *_waits(seen, figures), *_failures(domains)]
    if len(wrong) == 1 and not looks:
        return Verdict("bad", wrong[0])
    if wrong:
        details = [*wrong, *looks]
        needs = ngettext("%(count)d thing needs you.", "%(count)d things need you.", len(details))
        return Verdict("bad", needs % {"count": len(details)}, details)
    count = len(registry().pools.keys() - seen.lives.paused.keys())
    served = ngettext("%(count)d queue served", "%(count)d queues served", count) % {"count": count}
    aside = survey.set_aside_sentence(seen)
    details = [*looks, *seen.pauses, *([Advice(aside, "aside")] if aside else [])]
    if not details:
        return Verdict("good", _("All is well: %(served)s, beat alive.") % {"served": served})
    return Verdict("look", _but(seen, looks) % {"served": served, "paused": _paused(seen)}, details)


def _but(seen: Survey, looks: Sequence[str]) -> str:
    if seen.has_lapsed:
        return _("%(served)s, beat alive, but the schedule was not kept in all.")
    if looks:
        return _("%(served)s, beat alive, but see below.")
    if seen.pauses:
        return _("%(served)s, beat alive, and %(paused)s.")
    return _("%(served)s, beat alive, but messages were set aside.")


def _paused(seen: Survey) -> str:
    queues, entries = len(seen.lives.paused), len(seen.lives.schedule.sentences(Need.PAUSED))
    parts = [
        ngettext("%(count)d is paused", "%(count)d are paused", queues) % {"count": queues} if queues else "",
        ngettext("%(count)d entry of the schedule is paused", "%(count)d entries of the schedule are paused", entries)
        % {"count": entries}
        if entries
        else "",
    ]
    return ", ".join(filter(None, parts))


def _wrong(seen: Survey) -> list[Advice]:
    """Where every lane is, that is one thing and not one for each."""
    if seen.broker.error or not all(_is_idle(name, seen) for name in registry().pools):
        return [problem.advice for problem in seen.problems]
    others = [problem.advice for problem in seen.problems if not problem.subject.startswith("lane ")]
    return [Advice(survey.no_worker(), "lane"), *others]


def _is_idle(queue: str, seen: Survey) -> bool:
    depth = seen.queues.get(queue)
    return not (queue in seen.lives.paused or (depth and depth.consumers))


def _books(figures: Glance) -> Iterator[Advice]:
    if figures.now is None:
        return
    for domain, missing in figures.now.figures.differences.items():
        text = (
            ngettext(
                "The books of %(domain)s do not balance: %(count)s task in flight is missing.",
                "The books of %(domain)s do not balance: %(count)s tasks in flight are missing.",
                missing,
            )
            if missing > 0
            else ngettext(
                "The books of %(domain)s do not balance: %(count)s task more is in flight than was accepted.",
                "The books of %(domain)s do not balance: %(count)s tasks more are in flight than were accepted.",
                -missing,
            )
        )
        more = _("To see all of it: manage.py audit")
        yield Advice(f"{text % {'domain': domain or '(none)', 'count': grouped(abs(missing))}} {more}", "books")
    if (last := figures.now.audit) and not last.balances:
        told = _("The audit of %(when)s found: %(verdict)s") % {"when": since(last.at), "verdict": last.verdict}
        yield Advice(told, "books")


def _waits(seen: Survey, figures: Glance) -> Iterator[Advice]:
    """Unless what keeps them waiting is named already."""
    if figures.now is None or seen.problems:
        return
    for name, pool in registry().pools.items():
        line = figures.now.figures.queues.get(name)
        longest = max(LONG_WAIT, pool.domain.targets.wait or LONG_WAIT)
        if line and timedelta(seconds=line.wait) > longest and name not in seen.lives.paused:
            text = _("%(queue)s is behind: its oldest task has waited for %(wait)s.")
            yield Advice(text % {"queue": name, "wait": short(timedelta(seconds=line.wait))}, "wait")


def _failures(domains: Domains) -> Iterator[Advice]:
    for domain, numbers in domains:
        target, failed, finished = domain.targets.success, sum(numbers.failed), sum(numbers.finished)
        if target is not None and failed >= MANY_FAILED and failed > (1 - target) * finished:
            text = _(
                "%(failed)s of %(finished)s %(noun)s of 24 hours failed, more than the target of %(domain)s allows."
            )
            values = {
                "failed": grouped(failed),
                "finished": grouped(finished),
                "noun": _(domain.noun),
                "domain": domain.name,
            }
            yield Advice(text % values, "letters")
