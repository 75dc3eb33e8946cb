"""Letters to people who may not want them, and the links in them."""

from typing import Any

from notifications import services
from notifications.consent.links import Reader
from notifications.delivering import deliver
from notifications.tables import Delivery
from tests.notifications.mail_server import MailServer

ANN, BEN = "ann@example.org", "ben@example.org"
CLICK = {"List-Unsubscribe": "One-Click"}
State = Delivery.State


def letter(to: str = ANN, *, category: str = "news", **changes: Any) -> Delivery:
    words = {"subject": "Your invoice", "text": "It is due.\n", **changes}
    return services.notify(to, category=category, **words).deliveries.get()


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def sent(mail_server: MailServer, to: str = ANN, **changes: Any) -> Delivery:
    """A delivery that the server has taken."""
    delivery = letter(to, **changes)
    run(delivery)
    delivery.refresh_from_db()
    assert delivery.state == State.SENT
    return delivery


def path(page: str, address: str = ANN, category: str = "news") -> str:
    return f"/notifications/{page}/{Reader('email', address, category).token}"


def state(delivery: Delivery) -> str:
    return str(Delivery.objects.get(pk=delivery.pk).state)
