"""What people decide about many rows at once, and what they note about a cause of failures."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Job(models.Model):
    """Something to be done to many rows, batch by batch; each moves ``position`` in the transaction that does it.

    A task of the maintenance domain carries it on. Only the task of this ``turn`` may: whoever hands it on, stops it or
    has it go on moves the turn, so that of two tasks one finds nothing to do.
    """

    class State(models.TextChoices):
        OPEN = "open", _("at work")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")
        RETURNED = "returned", _("stopped by itself")
        FAILED = "failed", _("broken off")

    id = models.BigAutoField(primary_key=True)
    verb = models.CharField(_("what"), max_length=20)
    scope = models.TextField()
    """JSON: the rows it is for (routing/console/jobs/scopes.py)."""
    told = models.TextField(_("for"))
    """The scope in people's words."""
    fingerprint = models.CharField(max_length=32, default="", db_default="")
    """Of the cause that it is about, if it is about one."""
    expected = models.BigIntegerField(_("rows"), null=True)
    """How many there seemed to be; None where they were not counted."""
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN, db_default=State.OPEN)
    turn = models.IntegerField(default=1, db_default=1)
    lost = models.IntegerField(default=0, db_default=0)
    """How many tasks in a row ended without it, since it last moved (routing/ledger/job_tasks.py)."""
    position = models.TextField(default="", db_default="")
    """Behind which it goes on."""
    seen = models.BigIntegerField(default=0, db_default=0)
    """Rows that were looked at."""
    outcomes = models.TextField(default="{}", db_default="{}")
    """JSON: how many came to what."""
    stages = models.TextField(default="[]", db_default="[]")
    """JSON: of a job that goes on in stages, those it has begun (routing/console/jobs/stages.py)."""
    trouble = models.TextField(default="", db_default="")
    """Why it stopped by itself, or was broken off."""
    asked_by = models.CharField(_("asked by"), max_length=150)
    asked_at = models.DateTimeField(_("asked"), db_default=Now())
    moved_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    stopped_by = models.CharField(_("stopped by"), max_length=150, default="", db_default="")
    wish = models.CharField(max_length=64, unique=True)
    """Names the page that it was asked from, however often its button is pressed."""

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [models.Index(fields=["fingerprint"], name="routing_job_cause")]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=models.Q(state="open") & ~models.Q(fingerprint=""),
                name="routing_job_one_per_cause",
            )
        ]

    def __str__(self) -> str:
        return f"{self.verb}: {self.told}"[:200]


class CauseNote(models.Model):
    """What somebody found out about a cause; it stays with the cause, whichever of its letters come and go."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=32)
    text = models.TextField(_("note"))
    by = models.CharField(_("by"), max_length=150)
    at = models.DateTimeField(_("at"), db_default=Now())

    class Meta:
        verbose_name = _("note about a cause")
        verbose_name_plural = _("notes about causes")
        indexes = [models.Index(fields=["fingerprint"], name="routing_causenote_cause")]

    def __str__(self) -> str:
        return self.text[:80]
