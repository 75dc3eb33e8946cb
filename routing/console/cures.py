"""Which part of the handbook tells what to do about each thing that can be wrong."""

from django.urls import reverse

INCIDENTS = "incidents"
BOOKS, DEAD_LETTERS, GROWING = (
    "when-the-books-do-not-balance",
    "poison-and-other-dead-letters",
    "a-queue-is-growing",
)
PARTS = {
    "broker": "the-broker-is-down",
    "database": "the-database-is-down",
    "beat": "a-slot-is-late-or-was-missed",
    "relay": "when-a-service-is-away",
    "worker": "when-a-service-is-away",
    "lane": GROWING,
    "schedule": "the-schedule",
    "books": BOOKS,
    "letters": DEAD_LETTERS,
    "aside": "dead-letters",
    "pause": "pausing-a-queue",
    "wait": GROWING,
}
"""By the first word of what was looked at; the headings of docs/operations.md, as addresses have them."""


class Advice(str):
    """A sentence that tells what is wrong; its page with the cure at length is where ``cure`` leads."""

    subject: str

    def __new__(cls, sentence: str, subject: str) -> "Advice":
        made = super().__new__(cls, sentence)
        made.subject = subject
        return made

    @property
    def cure(self) -> str:
        return url(self.subject)


def url(subject: str = "") -> str:
    """``subject``: such as ``lane reporting``."""
    part = PARTS.get(subject.partition(" ")[0], INCIDENTS)
    return f"{reverse('console:handbook', args=['operations'])}#{part}"
