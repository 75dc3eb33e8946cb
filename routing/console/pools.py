"""The pages of queues and pools, and of how RabbitMQ differs from what the code declares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from routing.broker import drift
from routing.broker.comparison import Action, Comparison, Step
from routing.console import rights, survey
from routing.console.cures import Advice
from routing.console.pool_page import pools_page
from routing.console.questions import Answer, Question
from routing.console.result_rows import StateWord
from routing.console.start_page import may_look
from routing.console.verdict import Verdict

COMPARED_WITHIN = 5.0
DRIFT = Question(drift.look, name="ask-drift")
TONES = {Action.DECLARE: "info", Action.ANEW: "warning", Action.REMOVE: "danger", Action.KEEP: ""}


@dataclass(frozen=True)
class StepView:
    step: Step
    label: StateWord


@require_safe
@cache_control(no_store=True)
def page(request: HttpRequest) -> HttpResponse:
    _require(request)
    return _page(request, "console/pools.html", _("Queues and pools"), {"page": pools_page(request)})


@require_safe
@cache_control(no_store=True)
def topology(request: HttpRequest) -> HttpResponse:
    """What ``manage.py topology plan`` says. To apply it takes a shell, and a broker user who may configure."""
    _require(request)
    answer = DRIFT.answer(seconds=COMPARED_WITHIN)
    context = {"verdict": _verdict(answer), "steps": _steps(answer.value.comparison) if answer.value else ()}
    return _page(request, "console/topology.html", _("Topology"), context)


def _require(request: HttpRequest) -> None:
    if not may_look(request):
        raise PermissionDenied
    rights.require_all_domains(request.user)


def _verdict(answer: Answer[drift.Drift]) -> Verdict:
    if answer.value is None:
        return Verdict("bad", Advice(survey.sentence_of(answer.error), "broker"))
    found, user = answer.value.comparison, answer.value.user
    if found.unknown:
        told = _("RabbitMQ's user %(user)s may declare nothing, and so not see how these differ: %(names)s.")
        return Verdict("look", told % {"user": user, "names": ", ".join(found.unknown)})
    count = len(found.steps)
    if not count:
        return Verdict("good", _("RabbitMQ is as the code has it."))
    told = ngettext(
        "RabbitMQ differs from the code in %(count)d thing.",
        "RabbitMQ differs from the code in %(count)d things.",
        count,
    )
    cure = _("To bring it there, with no task lost: manage.py topology apply")
    return Verdict("look", f"{told % {'count': count}} {cure}")


def _steps(found: Comparison) -> Sequence[StepView]:
    return [
        StepView(step, StateWord(step.action.name.lower(), step.action.value, TONES[step.action]))
        for step in found.steps
    ]


def _page(request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), "title": title, **context})
