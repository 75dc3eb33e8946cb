"""What API tokens can be allowed to do, in the order in which the admin offers it."""

from notifications.api_scopes import CANCEL, READ, SEND, SUPPRESSIONS_READ, SUPPRESSIONS_WRITE
from routing.console.scopes import PAYLOADS_READ, TASKS_READ

SCOPES = (SEND, READ, CANCEL, SUPPRESSIONS_READ, SUPPRESSIONS_WRITE, TASKS_READ, PAYLOADS_READ)
