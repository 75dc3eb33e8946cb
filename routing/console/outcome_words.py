"""What came of each row of a decision, in the reader's language: the ledger and its jobs keep the English words."""

from django.utils.translation import gettext, gettext_noop

KNOWN = frozenset(
    {
        gettext_noop("replayed"),
        gettext_noop("discarded"),
        gettext_noop("open again"),
        gettext_noop("left, as somebody has decided about them already"),
        gettext_noop("left, as there is no task in them that could run: see dead_letters show"),
        gettext_noop("left, as no domain has a queue for their task: see project/domains.py"),
        gettext_noop("left, as no open dead letter is kept of it"),
        gettext_noop("due now"),
        gettext_noop("moved"),
        gettext_noop("left, as it runs, waits for no time, or has ended"),
        gettext_noop("left, as it runs, is in that lane already, is of another domain, or has ended"),
        gettext_noop("cancelled"),
        gettext_noop("cancelled while running, being ended"),
        gettext_noop("cancelled while running, runs on for nothing"),
        gettext_noop("running, not to run again"),
        gettext_noop("already finished"),
        gettext_noop("not known"),
        gettext_noop("cannot be cancelled, the log says why"),
    }
)


def said(outcome: str) -> str:
    """An outcome of another release as it is."""
    return gettext(outcome)
