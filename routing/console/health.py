"""Health, for those who start, watch and balance processes: alive, and ready."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from routing.console import survey
from routing.console.survey import Mark


@require_safe
@cache_control(no_store=True)
def live(_request: HttpRequest) -> JsonResponse:
    """The process answers. Nothing else is touched: to restart it would cure nothing else."""
    return JsonResponse({"status": "ok"})


@require_safe
@cache_control(no_store=True)
def ready(_request: HttpRequest) -> JsonResponse:
    """200 where database, broker, every lane's consumer, relay and beat are there, else 503; within three seconds."""
    findings = survey.take().findings
    well = all(finding.mark is Mark.WELL for finding in findings)
    checks = {
        finding.subject: {
            "ok": finding.mark is Mark.WELL,
            "seconds": round(finding.seconds, 3),
            "error": finding.sentence or None,
        }
        for finding in findings
    }
    return JsonResponse({"status": "ok" if well else "failing", "checks": checks}, status=200 if well else 503)
