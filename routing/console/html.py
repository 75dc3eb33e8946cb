"""Small pieces of HTML for admin pages: state labels, and times that show more when pointed at."""

from datetime import datetime

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from routing.console.result_rows import Span, StateWord
from routing.console.time_words import exact, short

NOTHING = "-"


def state_label(state: StateWord) -> SafeString:
    """The state in people's words, coloured, with Celery's own when pointed at."""
    tone = f" console-label-{state.tone}" if state.tone else ""
    return format_html('<span class="console-label{}" title="{}">{}</span>', tone, state.value, state.word)


def ago(moment: datetime | None) -> SafeString | str:
    """“5 minutes ago”, with the exact time when pointed at."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact_time(moment), naturaltime(moment)
    )


def clock(moment: datetime) -> SafeString:
    """Day and time, with the microseconds when pointed at."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact_time(moment), plain_clock(moment)
    )


def named(moment: datetime, words: str) -> SafeString:
    """“tomorrow 02:00”, with the exact time when pointed at."""
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact_time(moment), words)


def plain_clock(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{date_format(local, 'DATE_FORMAT')}, {local:%H:%M:%S}"


def length(span: Span | None) -> SafeString | str:
    """“3 min 12 s”, or “12 s so far”, with all digits when pointed at."""
    if span is None:
        return NOTHING
    words = _("%(length)s so far") % {"length": short(span.length)} if span.open else short(span.length)
    return format_html('<span class="console-length" title="{}">{}</span>', exact(span.length), words)


def worker(name: str | None, *, queue: str) -> SafeString | str | None:
    """The worker's name; of the queue's own pool only the host, because its name begins with the queue's."""
    pool, _at, host = (name or "").partition("@")
    if host and pool == queue:
        return format_html('<span title="{}">{}</span>', name, host)
    return name


def running(span: Span | None, name: str, *, queue: str) -> SafeString | str:
    """“12 s so far” and the worker."""
    if span is None:
        return NOTHING
    return format_html("<span>{}, {}</span>", length(span), worker(name, queue=queue) or NOTHING)


def shortened(text: str, *, whole: str) -> SafeString:
    return format_html('<span title="{}">{}</span>', whole, text)


def exact_time(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d %H:%M:%S.%f} {local.tzname()}"
