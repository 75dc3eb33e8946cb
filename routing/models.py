"""Where Django looks for models; they live beside the code that uses them."""

from routing.console.sign_ins import SignInAttempts
from routing.console.tokens import ApiToken
from routing.ledger.alert_tables import Alert
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.erasure_tables import Erasure
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.pulse_tables import LastAudit, QueueHour
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import BrokerMarker, DeadLetter, Message, Outbox, Process, Tally, UniqueKey

__all__ = [
    "Alert",
    "ApiToken",
    "BrokerMarker",
    "CauseNote",
    "Cleanup",
    "DeadLetter",
    "Erasure",
    "Job",
    "LastAudit",
    "Message",
    "Outbox",
    "Process",
    "QueueHour",
    "Removal",
    "ScheduleEntry",
    "ScheduleSlot",
    "SignInAttempts",
    "Tally",
    "UniqueKey",
]
