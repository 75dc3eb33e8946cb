"""The pipeline's own tables. docs/lifecycle.md shows how a task moves through them."""

from datetime import timedelta
from typing import Any

from celery import states
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Message(models.Model):
    """A task in flight: one row from enqueueing to its outcome, which deletes it.

    No secondary index on anything that a claim writes, so that PostgreSQL can update the row in place (HOT).
    """

    id = models.CharField(_("task id"), max_length=255, primary_key=True)
    task = models.CharField(_("task"), max_length=255)
    domain = models.CharField(_("domain"), max_length=40)
    queue = models.CharField(_("queue"), max_length=100)
    # Text exactly as published: jsonb would refuse NUL, reorder keys and collapse doubles.
    headers = models.TextField(_("headers"))
    properties = models.TextField(_("properties"), db_default="{}")
    body = models.TextField(_("body"))
    state = models.CharField(_("state"), max_length=50, db_default=states.PENDING)
    progress = models.TextField(_("progress"), null=True)
    epoch = models.IntegerField(_("epoch"), db_default=1)
    attempt = models.IntegerField(_("attempt"), db_default=1)
    runs = models.IntegerField(_("runs"), db_default=0)
    at_most_once = models.BooleanField(_("at most once"), db_default=False)
    owner = models.BigIntegerField(_("owner"), null=True)
    pid = models.IntegerField(_("pid"), null=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    due_at = models.DateTimeField(_("due at"))
    expires_at = models.DateTimeField(_("expires at"), null=True)
    root_id = models.CharField(_("root id"), max_length=255, null=True)
    parent_id = models.CharField(_("parent id"), max_length=255, null=True)
    error = models.TextField(_("last error"), null=True)
    unknown_since = models.DateTimeField(null=True)
    """Since when workers have it that do not know its task, or cannot read it."""
    created_at = models.DateTimeField(_("enqueued at"))

    class Meta:
        verbose_name = _("task in flight")
        verbose_name_plural = _("tasks in flight")
        permissions = [
            ("view_payload", _("Can see arguments and results")),
            ("reveal_secret", _("Can reveal secret arguments, which is written down")),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=models.Q(expires_at__isnull=False), name="routing_message_expiry"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task}[{self.id}]"


class Outbox(models.Model):
    """A publication that a relay still has to make; thin and short-lived."""

    id = models.BigAutoField(primary_key=True)
    message_id = models.CharField(max_length=255)
    epoch = models.IntegerField()
    queue = models.CharField(max_length=100)
    due_at = models.DateTimeField()
    failures = models.IntegerField(db_default=0)
    reason = models.TextField(null=True)
    """Why the last attempt to publish it failed."""

    class Meta:
        verbose_name = _("publication")
        verbose_name_plural = _("publications")
        indexes = [models.Index(fields=["queue", "due_at"], name="routing_outbox_due")]

    def __str__(self) -> str:
        return f"{self.queue}: {self.message_id}, epoch {self.epoch}"


class UniqueKey(models.Model):
    """The task that holds a unique key: while it is in flight, and until ``expires_at`` where that is set."""

    key = models.CharField(max_length=600, primary_key=True)
    task_id = models.CharField(max_length=255)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("unique key")
        verbose_name_plural = _("unique keys")
        indexes = [models.Index(fields=["task_id"], name="routing_uniquekey_task")]

    def __str__(self) -> str:
        return self.key


class Tally(models.Model):
    """The books: what a transaction accepted, finished and pruned. Append-only; rolled up into one row per domain."""

    id = models.BigAutoField(primary_key=True)
    domain = models.CharField(max_length=40)
    accepted = models.BigIntegerField(db_default=0)
    finished = models.BigIntegerField(db_default=0)
    pruned = models.BigIntegerField(db_default=0)

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")

    def __str__(self) -> str:
        return f"{self.domain}: +{self.accepted} -{self.finished} -{self.pruned}"


class DeadLetter(models.Model):
    """What failed for good or could not be processed, with its message exactly as it was, so that it can be replayed.

    Of a task, ``body`` is the text that was published. What came from RabbitMQ's dead-letter queues has the bytes in
    ``raw``, and its headers and properties in the form of routing/ledger/typed.py.
    """

    class Reason(models.TextChoices):
        FAILED = "failed", _("failed")
        POISON = "poison", _("killed its workers")
        CRASHED = "crashed", _("its worker died, and it may not start twice")
        LOST = "lost", _("known to neither ledger nor results")
        UNDECODABLE = "undecodable", _("cannot be read")
        REFUSED = "refused", _("of a content type that is refused")
        UNKNOWN = "unknown", _("its worker does not know the task")
        REJECTED = "rejected", _("rejected by its worker")
        MISROUTED = "misrouted", _("sent to a queue that does not exist")
        EXPIRED = "expired", _("expired in RabbitMQ")
        RETURNED = "returned", _("given back too often")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        REPLAYED = "replayed", _("replayed")
        DISCARDED = "discarded", _("discarded")

    id = models.BigAutoField(primary_key=True)
    task_id = models.CharField(max_length=255)
    task = models.CharField(max_length=255)
    domain = models.CharField(max_length=40)
    queue = models.CharField(max_length=100)
    headers = models.TextField()
    properties = models.TextField(db_default="{}")
    body = models.TextField()
    raw = models.BinaryField(null=True)
    reason = models.CharField(max_length=20, choices=Reason)
    error = models.TextField(null=True)
    traceback = models.TextField(null=True)
    fingerprint = models.CharField(max_length=32, db_default="")
    """Alike for the same cause (routing/ledger/fingerprint.py); empty until a relay has worked it out."""
    attempt = models.IntegerField(db_default=1)
    runs = models.IntegerField(db_default=0)
    enqueued_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=255, db_default="")
    """RabbitMQ's queue that it was taken from; empty for a task that the ledger settled."""
    delivery = models.CharField(max_length=100, null=True)
    """What it was taken by, so that a message which RabbitMQ delivers again is not kept twice."""
    history = models.TextField(db_default="[]")
    """JSON list of what RabbitMQ and people did with it."""
    state = models.CharField(max_length=10, choices=State, db_default=State.OPEN)
    decided_by = models.CharField(max_length=150, db_default="")
    decided_at = models.DateTimeField(null=True)
    replayed_as = models.CharField(max_length=255, db_default="")
    """The id of the task that its replay enqueued."""

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        indexes = [
            models.Index(fields=["task_id"], name="routing_deadletter_task"),
            models.Index(fields=["dead_at"], name="routing_deadletter_age"),
            models.Index(fields=["fingerprint", "dead_at"], name="routing_deadletter_cause"),
            # All that the page of causes counts by, and the order in which a cause is replayed.
            models.Index(
                fields=["fingerprint", "id", "dead_at"],
                condition=models.Q(state="open"),
                name="routing_deadletter_open",
            ),
            # Leads from what a replay came to, to what it is a replay of.
            models.Index(fields=["replayed_as"], condition=~models.Q(replayed_as=""), name="routing_deadletter_replay"),
        ]
        constraints = [models.UniqueConstraint(fields=["delivery"], name="routing_deadletter_delivery")]

    def __str__(self) -> str:
        return f"{self.task or self.get_reason_display()}[{self.task_id or self.pk}]"

    @property
    def content(self) -> bytes:
        """The body, byte for byte."""
        return bytes(self.raw or b"") if self.source else self.body.encode()


class Process(models.Model):
    """Who lives: one row for each incarnation of a long-running process, never used again.

    Its id is what ``Message.owner`` holds. It lives until someone sets ``dead_at`` or its row is gone; the age of its
    beat alone says nothing.
    """

    class Role(models.TextChoices):
        BEAT = "beat", _("beat")
        RELAY = "relay", _("relay")
        WORKER = "worker", _("worker")

    id = models.BigAutoField(primary_key=True)
    role = models.CharField(max_length=20, choices=Role)
    name = models.CharField(max_length=255, default="")
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=100, default="")
    queues = models.TextField(default="[]")
    """JSON list of the queues a worker serves."""
    embedded = models.BooleanField(default=False)
    """A relay that a worker keeps, because no other one beats."""
    consuming = models.BooleanField(null=True)
    """Whether a worker takes messages; None for other roles, and until it is known."""
    trouble = models.TextField(default="")
    """What keeps it from its work just now, in a sentence."""
    paused = models.TextField(default="[]", db_default="[]")
    """JSON list of the paused queues of which it publishes or starts nothing any more."""
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    dead_at = models.DateTimeField(null=True)

    LATE_AFTER = timedelta(seconds=30)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        indexes = [models.Index(fields=["role", "beat_at"], name="routing_process_role")]

    def __str__(self) -> str:
        return f"{self.role} {self.host}:{self.pid}"


class QueuePause(models.Model):
    """The last time that a queue was paused; while ``resumed_at`` is empty, nothing of it is published or started."""

    queue = models.CharField(_("queue"), max_length=100, primary_key=True)
    paused_at = models.DateTimeField(_("paused at"))
    paused_by = models.CharField(_("paused by"), max_length=255)
    reason = models.TextField(_("reason"))
    resumed_at = models.DateTimeField(_("resumed at"), null=True)
    resumed_by = models.CharField(_("resumed by"), max_length=255, default="", db_default="")

    class Meta:
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")

    def __str__(self) -> str:
        return self.queue


class Termination(models.Model):
    """What is still to be done about a task that was cancelled while it ran; whoever did it notes what came of it.

    With a signal, its worker is to end the process. Without one, its run counts, and relays see to it that no other
    follows: that is what Celery's plain ``revoke`` asks for.
    """

    class Answer(models.TextChoices):
        ENDED = "ended", _("its process was ended")
        OVER = "over", _("it had come to its end")
        REVOKED = "revoked", _("it is not run again")
        UNABLE = "unable", _("its pool cannot end a task")

    id = models.BigAutoField(primary_key=True)
    task_id = models.CharField(max_length=255)
    owner = models.BigIntegerField()
    pid = models.IntegerField(null=True)
    signal = models.CharField(max_length=20, default="", db_default="")
    asked_by = models.CharField(max_length=255, default="", db_default="")
    asked_at = models.DateTimeField(db_default=Now())
    answer = models.CharField(max_length=20, default="", db_default="", choices=Answer)

    class Meta:
        verbose_name = _("termination")
        verbose_name_plural = _("terminations")
        indexes = [models.Index(fields=["owner"], condition=models.Q(answer=""), name="routing_termination_open")]

    def __str__(self) -> str:
        return self.task_id


class BrokerMarker(models.Model):
    """One row: the marker message that a relay keeps on the broker, and how often the broker was proved to have lost.

    A relay holds the row in share mode when it commits a batch, and whoever re-drives after a loss holds it alone: a
    batch that was confirmed by a broker that has since lost it is thus never taken for published.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    marker = models.CharField(max_length=36)
    losses = models.BigIntegerField(db_default=0)
    lost_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("broker marker")
        verbose_name_plural = _("broker markers")

    def __str__(self) -> str:
        return f"{self.marker}, {self.losses} losses"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.id = 1
        super().save(*args, **kwargs)


class DeclaredQueue(models.Model):
    """A queue that this ledger has had declared on RabbitMQ, so that one which left the code is found again."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=36, default="")
    """The apply that makes it anew or removes it: workers let go of it, and nobody else declares it."""
    held_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("declared queue")
        verbose_name_plural = _("declared queues")

    def __str__(self) -> str:
        return self.name
