"""Pruning: what is past its retention goes, in short transactions that neither block workers nor fill memory.

Never a task without an outcome, however old: it may wait for a pool that has been down for weeks. The weekly report
names such tasks. kinds.py tells how another kind of rows is added.
"""

from routing.ledger.retention.kinds import Counts, What
from routing.ledger.retention.pace import Pace
from routing.ledger.retention.runs import Pruned, preview, prune

__all__ = ["Counts", "Pace", "Pruned", "What", "preview", "prune"]
