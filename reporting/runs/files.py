"""A report's forms as files in Django's storage: for downloads, and for whoever gets one by its name."""

import logging

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from reporting.documents.document import Document
from reporting.forms import forms
from reporting.forms.shape import FormAway
from reporting.runs import storage
from reporting.runs.tables import ReportEdition

logger = logging.getLogger(__name__)


def keep(edition: ReportEdition) -> None:
    """Write every form of it that can be made here, in place of what there is. Safe to call again."""
    document = Document.from_json(edition.document)
    kept = {}
    for form in forms().values():
        name = f"{storage.folder(edition)}/{storage.file_name(edition)}{form.suffix}"
        # A death behind this leaves a file that nobody names yet; the next run writes the same one again.
        default_storage.delete(name)
        try:
            content = form.render(document)
        except FormAway as away:
            logger.warning("%s is left out. %s", name, away)
        else:
            kept[form.name] = default_storage.save(name, ContentFile(content))
    ReportEdition.objects.filter(pk=edition.pk).update(files=kept)
    edition.files = kept
