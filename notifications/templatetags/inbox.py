"""The bell in the head of every page of the admin: the way to one's inbox, and how much of it is unread."""

from typing import Any

from django import template

from notifications.inbox import reading

register = template.Library()

MOST = 99
"""More are told as “99+”, and not counted."""


@register.inclusion_tag("notifications/inbox/bell.html")
def inbox_bell(user: Any) -> dict[str, Any]:
    unread = reading.count_unread(user, most=MOST + 1)
    return {"unread": unread, "told": f"{MOST}+" if unread > MOST else str(unread)}
