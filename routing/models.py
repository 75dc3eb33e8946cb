"""Where Django looks for models; they live beside the code that uses them."""

from routing.console.tokens import ApiToken
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.erasure_tables import Erasure
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import BrokerMarker, DeadLetter, Message, Outbox, Process, Tally, UniqueKey

__all__ = [
    "ApiToken",
    "BrokerMarker",
    "Cleanup",
    "DeadLetter",
    "Erasure",
    "Message",
    "Outbox",
    "Process",
    "Removal",
    "ScheduleEntry",
    "ScheduleSlot",
    "Tally",
    "UniqueKey",
]
