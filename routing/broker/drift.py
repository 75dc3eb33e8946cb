"""How RabbitMQ differs from what the domains declare, as ``manage.py topology plan`` says it; with a deadline."""

from dataclasses import dataclass

from routing.broker.comparison import Comparison, compare
from routing.broker.inspection import answering
from routing.domains import registry

EACH_ANSWER_WITHIN = 2.0


@dataclass(frozen=True)
class Drift:
    """``user`` is who asked, by the name that RabbitMQ knows."""

    comparison: Comparison
    user: str


def look() -> Drift:
    """Changes nothing. Raises BrokerUnavailable, and what the database raises."""
    with answering(seconds=EACH_ANSWER_WITHIN) as connection:
        return Drift(compare(connection, registry()), connection.userid or "guest")
