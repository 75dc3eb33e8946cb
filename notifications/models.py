"""Where Django looks for models; they live beside the code that uses them."""

from notifications.chat.tables import ChatTarget
from notifications.consent.tables import Feedback, Preference, Suppression
from notifications.inbox.tables import InAppMessage
from notifications.pacing.tables import Gate, Line
from notifications.tables import Attachment, Attempt, Delivery, Notification, Rejection
from notifications.templating.tables import Template, TemplateVersion
from notifications.webhooks.tables import Endpoint

__all__ = [
    "Attachment",
    "Attempt",
    "ChatTarget",
    "Delivery",
    "Endpoint",
    "Feedback",
    "Gate",
    "InAppMessage",
    "Line",
    "Notification",
    "Preference",
    "Rejection",
    "Suppression",
    "Template",
    "TemplateVersion",
]
