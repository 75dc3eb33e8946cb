"""What is to reach people: a notification, one delivery for each recipient, and one attempt for each try."""

from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from notifications import addresses
from notifications.templating.tables import TemplateVersion


class Notification(models.Model):
    """One thing to say to one or more recipients, each of whom is written to alone."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    key = models.CharField(  # noqa: DJ001  (several may have none, and yet it is unique)
        _("key"), max_length=200, null=True, unique=True, help_text=_("Asked for again, it is this same notification.")
    )
    fingerprint = models.CharField(max_length=64, editable=False)
    """Of what was asked for: the same key with something else is told apart."""
    channel = models.CharField(_("channel"), max_length=20)
    category = models.CharField(_("category"), max_length=40)
    lane = models.CharField(_("lane"), max_length=40)
    template = models.ForeignKey(
        TemplateVersion, null=True, blank=True, on_delete=models.PROTECT, verbose_name=_("template")
    )
    is_merge = models.BooleanField(default=False)
    """Subject, text and HTML are templates themselves, filled in with each recipient's values."""
    subject = models.TextField(_("subject"), blank=True)
    text = models.TextField(_("text"), blank=True)
    html = models.TextField(_("HTML"), blank=True)
    context = models.JSONField(_("values"), default=dict, blank=True)
    """The same for all recipients. What is secret is masked here, and sealed in each delivery."""
    from_email = models.CharField(_("from"), max_length=400)
    reply_to = models.JSONField(_("reply to"), default=list, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="")
    """Of recipients who bring none; empty for the site's own."""
    send_at = models.DateTimeField(_("to be sent at"), null=True, blank=True)
    recipients = models.PositiveIntegerField(_("recipients"), default=0)
    """Deliveries stored so far."""
    consumed = models.PositiveIntegerField(default=0)
    """How many of the recipients it was given have been gone through: where an interrupted one goes on."""
    is_complete = models.BooleanField(_("all recipients stored"), default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=200, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    emptied_at = models.DateTimeField(null=True, editable=False)
    """When the clean-up removed what it said, but for the subject."""

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [models.Index(fields=["-created_at"], name="notifications_newest")]

    def __str__(self) -> str:
        return self.subject or str(self.template or self.id)


class Rejection(models.Model):
    """One of the recipients that were given cannot be written to, and has no delivery."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="rejections")
    position = models.PositiveIntegerField(_("position"))
    """Its place among the recipients that were given, from 0."""
    address = models.CharField(_("address"), max_length=400, blank=True)
    """As it was given, cut short."""
    reason = models.TextField(_("reason"))

    class Meta:
        verbose_name = _("rejected recipient")
        verbose_name_plural = _("rejected recipients")
        constraints = [
            models.UniqueConstraint(fields=["notification", "position"], name="notifications_rejected_position")
        ]

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


class Attachment(models.Model):
    """A file that goes with a notification; it lies in Django's storage."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(_("file name"), max_length=200)
    content_type = models.CharField(_("content type"), max_length=200)
    size = models.PositiveIntegerField(_("bytes"))
    file = models.FileField(_("file"), upload_to="notifications/%Y/%m/%d", max_length=400)

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """A notification on its way to one recipient. Each change of its state is a conditional update."""

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        SUPPRESSED = "suppressed", _("suppressed")
        BOUNCED = "bounced", _("bounced")
        CANCELLED = "cancelled", _("cancelled")

    # The two constraints below begin with it; an index of its own would be a fifth to write each delivery into.
    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    position = models.PositiveIntegerField(_("position"))
    """Its place among the notification's recipients, from 0."""
    repeat = models.PositiveIntegerField(default=0)
    """0 for the first to an address; where duplicates are wanted, its position."""
    channel = models.CharField(_("channel"), max_length=20)
    address = models.CharField(_("address"), max_length=400)
    """As it was given, with its name: ``Ann Example <ann@example.org>``."""
    address_key = models.CharField(max_length=320)
    """The address alone, in the one spelling by which it is looked up and suppressed."""
    context = models.JSONField(_("values"), default=dict, blank=True)
    """This recipient's own values, with what is secret masked."""
    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="")
    """What this recipient reads; empty for the site's own."""
    sealed = models.TextField(blank=True)
    """The secret values, encrypted, until nobody needs them any more."""
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.PENDING)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    answer = models.TextField(_("answer"), blank=True)
    """What the other side said last."""
    attempts_made = models.PositiveIntegerField(_("attempts"), default=0)
    task_id = models.CharField(_("task"), max_length=255)
    digest = models.CharField(max_length=64, blank=True)
    """Of the message as it was sent, with what is secret masked: a page that shows it again can tell that it is it."""
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    resent_at = models.DateTimeField(_("sent again at"), null=True, editable=False)
    """When somebody last asked for it to be sent again: from then on it has its category's patience anew."""
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    emptied_at = models.DateTimeField(null=True, editable=False)
    """When the clean-up removed the values."""

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["notification", "position"], name="notifications_delivery_position"),
            models.UniqueConstraint(
                fields=["notification", "address_key", "repeat"], name="notifications_delivery_once"
            ),
        ]
        indexes = [
            # “Did she get it?”
            models.Index(fields=["address_key", "-id"], name="notifications_of_address"),
            models.Index(
                fields=["state", "id"],
                name="notifications_not_sent",
                condition=~Q(state__in=["sent", "pending"]),
            ),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def message_id(self) -> str:
        """The same at each attempt, so that receivers can tell that it is one message."""
        domain = addresses.parse(self.notification.from_email).domain
        return f"<{self.notification_id.hex}.{self.position}@{domain}>"

    @property
    def is_final(self) -> bool:
        return self.state not in (self.State.PENDING, self.State.SENDING)

    def change(self, *, frm: "Delivery.State", attempts: int | None = None, **values: Any) -> bool:
        """Set these columns if it is still in that state. False if somebody else was first."""
        mine = Delivery.objects.filter(pk=self.pk, state=frm)
        if attempts is not None:
            mine = mine.filter(attempts_made=attempts)
        if mine.update(**values) != 1:
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True


class Attempt(models.Model):
    """One try to hand a delivery over."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", _("accepted")
        TEMPORARY = "temporary", _("refused for now")
        PERMANENT = "permanent", _("refused for good")
        UNREACHABLE = "unreachable", _("not reached")
        UNKNOWN = "unknown", _("unknown")

    # The constraint below begins with it.
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField(_("attempt"))
    host = models.CharField(_("by way of"), max_length=255)
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True)
    """None while it goes on, and for ever if its process died in it."""
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome, blank=True)
    code = models.PositiveSmallIntegerField(_("code"), null=True)
    answer = models.TextField(_("answer"), blank=True)
    task_id = models.CharField(_("task"), max_length=255, blank=True)
    worker = models.CharField(_("worker"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="notifications_attempt_number")]

    def __str__(self) -> str:
        return f"{self.number}: {self.get_outcome_display()}"
