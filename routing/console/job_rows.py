"""Jobs as people see them: what is done to how many rows, how far it is, and what moves it next."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing.console.cause_rows import cause_url
from routing.console.jobs import stages
from routing.console.jobs.stages import Plan, Stage
from routing.console.jobs.verbs import VERBS
from routing.console.number_words import grouped
from routing.console.outcome_words import said
from routing.console.result_rows import StateWord
from routing.ledger import job_tasks
from routing.ledger.job_tables import Job

State = Job.State
TONES = {
    State.OPEN: "info",
    State.DONE: "success",
    State.STOPPED: "",
    State.RETURNED: "warning",
    State.FAILED: "danger",
}


@dataclass(frozen=True)
class StageRow:
    name: str
    state: str
    done: int


@dataclass(frozen=True)
class JobRow:
    job: Job

    @property
    def title(self) -> str:
        verb = VERBS.get(self.job.verb)
        return str(verb.title) if verb else self.job.verb

    @property
    def url(self) -> str:
        return job_url(self.job)

    @property
    def cause_url(self) -> str:
        return cause_url(self.job.fingerprint) if self.job.fingerprint else ""

    @property
    def state(self) -> StateWord:
        return StateWord(self.job.state, self.job.get_state_display(), TONES[State(self.job.state)])

    @property
    def is_open(self) -> bool:
        return self.job.state == State.OPEN

    @property
    def goes_on(self) -> bool:
        return self.job.state in (State.STOPPED, State.RETURNED, State.FAILED)

    @cached_property
    def outcomes(self) -> list[tuple[str, int]]:
        found: dict[str, int] = json.loads(self.job.outcomes)
        return sorted(((said(name), count) for name, count in found.items()), key=lambda each: -each[1])

    @property
    def figures(self) -> str:
        if not self.job.expected:
            return grouped(self.job.seen)
        return _("%(seen)s of %(all)s") % {"seen": grouped(self.job.seen), "all": grouped(self.job.expected)}

    @property
    def percent(self) -> int:
        if self.job.state == State.DONE:
            return 100
        return min(100 * self.job.seen // self.job.expected, 99) if self.job.expected else 0

    @cached_property
    def plan(self) -> Plan | None:
        return stages.read(self.job)

    @property
    def stages(self) -> list[StageRow]:
        return list(self._stages()) if self.plan else []

    @property
    def sentence(self) -> str:
        """What moves it next, or why it stands."""
        job = self.job
        if job.state == State.DONE:
            return _("All of it is done.")
        if job.state == State.STOPPED:
            return _("%(who)s stopped it. What was done stays done; it can go on with the rest.") % {
                "who": job.stopped_by
            }
        if job.state == State.RETURNED:
            return _("%(why)s Nothing more is replayed. Mend the cause, then let it go on.") % {"why": job.trouble}
        if job.state == State.FAILED:
            return _("It was broken off: %(why)s. The log has more; it can go on.") % {"why": job.trouble}
        if job.lost:
            return self._lost()
        if self.plan and (stage := self.plan.current) and stage.full and not self.plan.is_last(stage):
            return self._waits(stage)
        if job.moved_at is None:
            return _("It begins as soon as a worker of the maintenance domain is free.")
        return _("A task of the maintenance domain is at work on it, or will be as soon as a worker is free.")

    def _lost(self) -> str:
        text = _("The task that carried it on ended without it. Another takes its place: %(count)d of %(most)d.")
        return text % {"count": self.job.lost, "most": len(job_tasks.PAUSES)}

    @cached_property
    def letter_url(self) -> str:
        """Of what the task that ended without it became."""
        if not self.job.lost or (number := job_tasks.letter_of(self.job)) is None:
            return ""
        return reverse("admin:routing_deadletter_change", args=[number])

    def _waits(self, stage: Stage) -> str:
        count = stages.in_flight(self.job, stage)
        if not count:
            return _("All tasks of this stage have come to an end. It looks what became of them.")
        text = ngettext("It waits for %(n)s task of this stage.", "It waits for %(n)s tasks of this stage.", count)
        return text % {"n": grouped(count)}

    def _stages(self) -> Iterator[StageRow]:
        assert self.plan is not None  # noqa: S101  (asked for where there is one)
        for number, stage in enumerate(self.plan.stages, 1):
            name = _("Stage %(number)d: %(size)s") % {"number": number, "size": grouped(stage.size)}
            yield StageRow(name, self._state_of(stage), stage.done)

    def _state_of(self, stage: Stage) -> str:
        assert self.plan is not None  # noqa: S101
        if stage.over:
            return _("over, and the failure did not come back")
        if self.job.state == State.DONE:
            return _("replayed")
        if stage is not self.plan.current:
            return _("not begun")
        return _("replayed; its tasks are waited for") if stage.full else _("at work")


def job_url(job: Job) -> str:
    return reverse("admin:routing_job_change", args=[job.pk])
