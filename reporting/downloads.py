"""A report's files as they are downloaded, with a login or by a link that is its own permission."""

from django.core.files.storage import default_storage
from django.http import FileResponse

from reporting import forms
from reporting.forms import NoSuchForm
from reporting.runs import storage
from reporting.runs.tables import ReportEdition


class NotKept(LookupError):
    """That edition has no such file, or not any more."""


def offered(edition: ReportEdition) -> list[tuple[str, str]]:
    """Name and title of each form that is kept of it."""
    return [(name, str(form.title)) for name, form in forms.forms().items() if name in edition.files]


def file(edition: ReportEdition, name: str) -> FileResponse:
    """Raises NotKept."""
    try:
        form, kept = forms.named(name), edition.files[name]
        opened = default_storage.open(kept)
    except (NoSuchForm, KeyError, OSError):
        raise NotKept(name) from None
    return FileResponse(
        opened,
        as_attachment=True,
        filename=f"{storage.file_name(edition)}{form.suffix}",
        content_type=form.content_type,
    )
