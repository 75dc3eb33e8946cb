"""Where a report's files lie in Django's storage."""

from django.core.files.storage import default_storage

from reporting.runs.tables import ReportEdition


def folder(edition: ReportEdition) -> str:
    return f"reports/{edition.run.report}/{edition.run.period}/{edition.pk}"


def file_name(edition: ReportEdition) -> str:
    """For people who download it, without its ending."""
    named = [edition.run.report, edition.run.period, *filter(None, edition.domains.split(","))]
    return "-".join(named)[:120]


def discard(edition: ReportEdition) -> None:
    """Safe to call again."""
    for name in edition.files.values():
        default_storage.delete(name)
