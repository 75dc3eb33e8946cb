"""What a relay logs of a batch: what goes back, and why; at level DEBUG also each task that RabbitMQ has confirmed."""

import json
import logging
from collections import Counter
from typing import Any

from routing import correlation
from routing.ledger.outbox import Batch, Publication

logger = logging.getLogger("routing.broker.relay")

NAMED = 20
"""Tasks at most that a line about several names."""


def tell(batch: Batch) -> None:
    for reason, count in Counter(batch.refused.values()).items():
        back = [one.message_id for one in batch.publications if batch.refused.get(one.id) == reason]
        extra: dict[str, Any] = {**correlation.about(queue=batch.queue), "task_ids": back[:NAMED]}
        logger.warning("%d of %d for %s go back: %s", count, len(batch.publications), batch.queue, reason, extra=extra)
    if logger.isEnabledFor(logging.DEBUG):
        for publication in batch.publications:
            if publication.id not in batch.refused:
                logger.debug("%s is published", publication.message_id, extra=_about(publication))


def _about(publication: Publication) -> dict[str, str]:
    headers = json.loads(publication.headers)
    request_id = correlation.usable(headers.get(correlation.HEADER))
    known = {"task": headers.get("task"), "task_id": publication.message_id, "root_id": headers.get("root_id")}
    return correlation.about(queue=publication.queue, request_id=request_id, **known)
