"""A program out in the world that sends mail through the HTTP API, and journals what it was promised."""

import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from routing.console.tokens import ApiToken
from tests.chaos.journal import Journal, Sent, Verdict

EVERY = 0.5
ANSWERED_WITHIN = 20
MAIL = {"to": ["ann@example.org"], "subject": "Chaos", "text": "Whatever happens."}


class Visitor(threading.Thread):
    """What was not answered was not promised."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(name="visitor", daemon=True)
        self._journal = Journal(folder / "journal", "visitor")
        self._stopping = threading.Event()
        self._request = urllib.request.Request(  # noqa: S310
            f"{url}/api/v1/emails",
            data=json.dumps(MAIL).encode(),
            headers={
                "Authorization": f"Bearer {ApiToken(name='chaos', scopes='notifications:send').issue()}",
                "Content-Type": "application/json",
            },
        )
        self.promised = 0

    def run(self) -> None:
        while not self._stopping.wait(EVERY):
            try:
                task_id = self._send()
            except (OSError, HTTPException, urllib.error.HTTPError, ValueError):
                continue
            sent = Sent(kind="mail", tasks=[task_id], first=[task_id], final=task_id)
            self._journal.conclude(self._journal.intend([sent]), Verdict.COMMITTED)
            self.promised += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _send(self) -> str:
        with urllib.request.urlopen(self._request, timeout=ANSWERED_WITHIN) as answer:  # noqa: S310
            return str(json.load(answer)["id"])
