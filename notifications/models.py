"""Where Django looks for models; they live beside the code that uses them."""

from notifications.consent.tables import Preference, Suppression
from notifications.pacing.tables import Gate
from notifications.tables import Attachment, Attempt, Delivery, Notification, Rejection
from notifications.templating.tables import Template, TemplateVersion

__all__ = [
    "Attachment",
    "Attempt",
    "Delivery",
    "Gate",
    "Notification",
    "Preference",
    "Rejection",
    "Suppression",
    "Template",
    "TemplateVersion",
]
