"""Due times in people's words: the day by its name, in the entry's own time zone, and how far away it is."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from routing.console.time_words import short
from routing.schedule.definition import Definition
from routing.schedule.timing import Crontab, Interval, Timing

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def zone_of(definition: Definition | None) -> ZoneInfo:
    """The entry's own; the site's, where it goes by none."""
    if definition and isinstance(definition.timing, Crontab):
        return ZoneInfo(definition.timing.zone)
    return _site()


def when(moment: datetime, *, at: datetime, zone: ZoneInfo) -> str:
    """“tomorrow 02:00”, seen from ``at``. The zone is named where it is not the site's."""
    local = moment.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    named = "" if zone.key == _site().key else f" {zone.key}"
    return f"{_day(local, at.astimezone(zone))} {clock}{named}"


def away(moment: datetime, *, at: datetime) -> str:
    """“in 5 h”, or “5 h ago”."""
    if moment >= at:
        return _("in %(length)s") % {"length": rough(moment - at)}
    return _("%(length)s ago") % {"length": rough(at - moment)}


def rough(length: timedelta) -> str:
    """In one unit: “5 h” for what is nearly five hours."""
    seconds = length.total_seconds()
    for size, name in _UNITS:
        if round(seconds / size) >= 1 and seconds >= 0.95 * size:
            unit = pgettext("days", "d") if name == "d" else name
            return f"{round(seconds / size)} {unit}"
    return "0 s"


def rhythm(timing: Timing) -> str:
    """“0 9 * * monday”, with the zone where it is not the site's, or “every 5 min”."""
    if isinstance(timing, Interval):
        length = f"{timing.seconds:g} s" if timing.seconds < 10 else short(timedelta(seconds=timing.seconds))
        return (_("every %(length)s by the clock") if timing.by_the_clock else _("every %(length)s")) % {
            "length": length
        }
    return timing.fields if timing.zone == _site().key else f"{timing.fields}, {timing.zone}"


def _day(local: datetime, today: datetime) -> str:
    days = (local.date() - today.date()).days
    near = {-1: _("yesterday"), 0: _("today"), 1: _("tomorrow")}
    if days in near:
        return near[days]
    if 1 < days < 7:
        return date_format(local, "l")
    day = date_format(local, "MONTH_DAY_FORMAT" if local.year == today.year else "DATE_FORMAT")
    return f"{date_format(local, 'D')} {day}"


def _site() -> ZoneInfo:
    zone = timezone.get_current_timezone()
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")
