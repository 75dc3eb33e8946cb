"""Looks at the pipeline every few seconds, and tells what is wrong. Relays and beats do it, and ``manage.py alerts``.

Any of them that lives is enough; the ledger's rows see to it that one of them tells. While the database is away there
are no rows, so that each tells it for itself, which is better than that nobody does.
"""

import logging
import threading
from collections.abc import Sequence

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from routing import faults
from routing.console import survey
from routing.console.alerting import channels, letters
from routing.console.alerting.away import Away
from routing.console.alerting.channels import Channel
from routing.console.survey import Mark, Survey
from routing.ledger import alerts
from routing.ledger.alerts import Telling, Timing

logger = logging.getLogger(__name__)

LOOK_EVERY = 15.0
PATIENCE = 5.0
"""Seconds for a look."""
ENDS_WITHIN = 2.0


def timing() -> Timing:
    return Timing(after=settings.TASKYARD_ALERTS_AFTER, window=settings.TASKYARD_ALERTS_WINDOW)


class Watch(threading.Thread):
    """``who`` is named in what it tells. It raises nothing, and ends when ``stop`` is set or the process does."""

    def __init__(self, *, who: str, stop: threading.Event, ways: Sequence[Channel] | None = None) -> None:
        super().__init__(name="alerts", daemon=True)
        self._who = who
        self._stop_all = stop
        self._channels = channels.declared() if ways is None else ways
        self._away = Away()

    def run(self) -> None:
        """Nothing to do where nobody is to be told."""
        while self._channels and not self._stop_all.is_set():
            self.run_once()
            self._stop_all.wait(LOOK_EVERY)

    def run_once(self) -> int:
        """Look, and tell what is to be told now; how many tellings that were."""
        try:
            return self._look(survey.take(seconds=PATIENCE))
        except (DatabaseError, InterfaceError) as error:
            # It went just now; the next look tells so.
            logger.warning("Alerts cannot be looked up: %s", error)
        except Exception:
            # The edge of the thread: the next look may do better.
            logger.exception("Could not look for what is wrong; trying again in %.0f s", LOOK_EVERY)
        finally:
            connections.close_all()
        return 0

    def _look(self, seen: Survey) -> int:
        told = self._without_rows(seen)
        if seen.database.error:
            return told
        causes = {finding.subject: finding.sentence for finding in seen.problems}
        unknown = {finding.subject for finding in seen.findings if finding.mark is Mark.UNKNOWN}
        for channel in self._channels:
            alerts.see(channel.name, causes)
            for telling in (
                alerts.take(channel.name, timing=timing()),
                alerts.take_ended(channel.name, unknown=unknown),
            ):
                told += self._tell(channel, telling) if telling else 0
        alerts.forget(timing=timing())
        return told

    def _tell(self, channel: Channel, telling: Telling) -> int:
        error = self._send(channel, telling)
        faults.point("alert.sent")
        if error:
            alerts.failed(telling, error)
            return 0
        if not alerts.told(telling):
            logger.warning("Telling it by %s took long; another process may have told it, too", channel.name)
        return 1

    def _without_rows(self, seen: Survey) -> int:
        wrong = next((one.sentence for one in seen.problems if one.subject == "database"), "")
        told = 0
        for channel in self._channels:
            telling = self._away.look(channel.name, wrong, timing=timing())
            if telling and not self._send(channel, telling):
                self._away.told(channel.name, telling)
                told += 1
        return told

    def _send(self, channel: Channel, telling: Telling) -> str:
        """Why it was not taken; empty if it was."""
        letter = letters.of(telling, timing=timing(), at=timezone.now(), by=self._who)
        error = channels.attempt(channel, letter)
        if error:
            logger.warning("An alert could not be told by %s to %s: %s", channel.name, channel.to, error)
        else:
            logger.info("Told by %s: %s", channel.name, letter.subject)
        return error
