"""Whether the schedule is all right, in one sentence; also where there is none yet."""

from celery import current_app
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing.console import lives
from routing.console.lives import Lives
from routing.console.schedule_life import Need
from routing.console.verdict import Verdict


def schedule_verdict(seen: Lives) -> Verdict:
    beat = lives.beat_sentence(seen.beat)
    if not seen.schedule.plans:
        return _empty(seen, beat)
    bad = [*([beat] if beat else []), *seen.schedule.sentences(Need.BROKEN, Need.OVERDUE)]
    lapsed, paused = seen.schedule.sentences(Need.LAPSED), seen.schedule.sentences(Need.PAUSED)
    coming = _("Next: %(what)s.") % {"what": seen.schedule.next_words} if seen.schedule.next else _("Nothing is due.")
    if bad:
        count = len(bad) + len(lapsed)
        needs = ngettext("%(count)d thing needs you.", "%(count)d things need you.", count) % {"count": count}
        return Verdict("bad", needs, [*bad, *lapsed, *paused])
    if lapsed or paused:
        runs = _("The schedule runs, but see below.")
        return Verdict("look", f"{runs} {coming}", [*lapsed, *paused])
    well = _("The schedule is all right.")
    return Verdict("good", f"{well} {coming}")


def _empty(seen: Lives, beat: str) -> Verdict:
    if not current_app.conf.beat_schedule:
        return Verdict(
            "look",
            _("Nothing is scheduled. Add an entry to CELERY_BEAT_SCHEDULE in project/settings.py, and restart beat."),
        )
    if seen.beat is None:
        return Verdict(
            "bad",
            _("No beat has run yet; it registers the entries as it starts. Start it: celery -A project beat"),
        )
    return Verdict("bad", beat or _("Beat runs, but has not registered its entries. Its log says why."))
