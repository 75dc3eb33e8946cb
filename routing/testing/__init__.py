"""For tests of application code: what a test has enqueued, and its run in the test's own process, with no broker.

It works inside Django's TestCase and pytest-django's ``db``, whose transaction is never committed, and outside one.
"""

from routing.testing.draining import Endless, Ran, drain
from routing.testing.ledger import Enqueued, UnknownTask, assert_enqueued, enqueued

__all__ = ["Endless", "Enqueued", "Ran", "UnknownTask", "assert_enqueued", "drain", "enqueued"]
