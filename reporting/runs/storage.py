"""Where a report's files lie in Django's storage."""

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from reporting.documents.document import Document
from reporting.runs.tables import ReportEdition, ReportRun


def folder(edition: ReportEdition) -> str:
    return f"reports/{edition.run.report}/{edition.run.period}/{edition.pk}"


def file_name(edition: ReportEdition) -> str:
    """For people who download it, without its ending."""
    return _name(edition.run.report, edition.run.period, *filter(None, edition.domains.split(",")))


def name_of(document: Document) -> str:
    """The same."""
    return _name(document.report, document.period, *document.domains)


def keep_letter(document: Document, content: bytes, *, suffix: str) -> dict[str, str]:
    """What a mail of it says, by name and digest. Safe to call again, and two at once."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"{_letters(document.report, document.period)}/{digest[:32]}{suffix}"
    if not _holds(name, digest):
        # Beside one that a death has cut short, it gets a name of its own.
        name = default_storage.save(name, ContentFile(content))
    return {"storage_name": name, "sha256": digest}


def discard(edition: ReportEdition) -> None:
    """Safe to call again."""
    for name in edition.files.values():
        default_storage.delete(name)


def discard_letters(run: ReportRun) -> None:
    """Safe to call again."""
    where = _letters(run.report, run.period)
    try:
        _folders, names = default_storage.listdir(where)
    except FileNotFoundError:
        return
    for name in names:
        default_storage.delete(f"{where}/{name}")


def _name(*parts: str) -> str:
    return "-".join(parts)[:120]


def _letters(report: str, period: str) -> str:
    return f"reports/{report}/{period}/letters"


def _holds(name: str, digest: str) -> bool:
    try:
        with default_storage.open(name) as file:
            return hashlib.sha256(file.read()).hexdigest() == digest
    except FileNotFoundError:
        return False
