"""Where Django looks for models; they live beside the code that uses them."""

from routing.console.tokens import ApiToken
from routing.ledger.tables import Process

__all__ = ["ApiToken", "Process"]
