"""Health, for those who start, watch and balance processes: alive, and ready."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from routing.console import survey
from routing.console.survey import Mark

_OK = (Mark.WELL, Mark.PAUSED, Mark.LOOK)


@require_safe
@cache_control(no_store=True)
def live(_request: HttpRequest) -> JsonResponse:
    """The process answers. Nothing else is touched: to restart it would cure nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
@cache_control(no_store=True)
def ready(_request: HttpRequest) -> JsonResponse:
    """200 where database, broker, relay, beat and a consumer of each lane that is not paused are there, else 503.

    503 also where a due time is over and a living beat does not come to it. What was missed, or is broken, is told
    under ``look``: it is no reason to take this process away.
    """
    findings = survey.take().findings
    well = all(finding.mark in _OK for finding in findings)
    checks = {
        finding.subject: {
            "ok": finding.mark in _OK,
            "seconds": round(finding.seconds, 3),
            "error": None if finding.mark in _OK else finding.sentence,
            **(
                {finding.mark.value: finding.public or finding.sentence}
                if finding.mark in (Mark.PAUSED, Mark.LOOK)
                else {}
            ),
        }
        for finding in findings
    }
    return JsonResponse({"status": "ok" if well else "failing", "checks": checks}, status=200 if well else 503)
