"""A report's forms as files in Django's storage: for downloads, and for whoever gets one by its name."""

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from reporting.documents.document import Document
from reporting.forms import forms
from reporting.forms.shape import Footer
from reporting.runs import storage
from reporting.runs.tables import ReportEdition


def keep(edition: ReportEdition) -> None:
    """Write every form of it, in place of what there is. Safe to call again."""
    document = Document.from_json(edition.document)
    kept = {}
    for form in forms().values():
        name = f"{storage.folder(edition)}/{storage.file_name(edition)}{form.suffix}"
        # A death behind this leaves a file that nobody names yet; the next run writes the same one again.
        default_storage.delete(name)
        kept[form.name] = default_storage.save(name, ContentFile(form.render(document, footer=Footer())))
    ReportEdition.objects.filter(pk=edition.pk).update(files=kept)
    edition.files = kept
