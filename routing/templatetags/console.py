"""What the console's templates need to say times and states."""

from typing import Any

from django import template

from routing.console import html, list_rows, time_words
from routing.console.schedule_rows import task_of

register = template.Library()

register.filter("short_length", time_words.short)
register.filter("ago", html.ago)
register.filter("clock", html.clock)
register.filter("span", html.length)
register.filter("state_label", html.state_label)
register.filter("named", html.named)
register.filter("task_of", task_of)
register.filter("commas", lambda number: f"{number:,}")


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"


@register.inclusion_tag("admin/change_list_results.html")
def console_result_list(cl: Any) -> dict[str, Any]:
    return list_rows.context(cl)
