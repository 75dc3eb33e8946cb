"""The files that go with a mail: the forms that its reader has chosen, as far as they can be made and sent.

What is left out is said in the mail, which goes all the same.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.utils.translation import gettext as _

from reporting import forms, wording
from reporting.documents.document import Document
from reporting.forms.shape import Form, FormAway
from reporting.runs import storage

logger = logging.getLogger(__name__)


class _LeftOut(Exception):
    """The message is for the mail's reader."""


@dataclass(frozen=True)
class Attached:
    """``files`` as the mail's task takes them; ``left_out`` in sentences."""

    files: tuple[Mapping[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


def attached(document: Document, chosen: str) -> Attached:
    """``chosen``: names of forms, with commas between. Safe to call again."""
    files: list[Mapping[str, str]] = []
    left_out: list[str] = []
    room = settings.TASKYARD_MAX_ATTACHMENTS
    for name in filter(None, chosen.split(",")):
        try:
            form, content = _made(document, name, room=room)
        except _LeftOut as words:
            left_out.append(str(words))
        else:
            room -= len(content)
            files.append(_kept(document, form, content))
    return Attached(tuple(files), tuple(left_out))


def _made(document: Document, name: str, *, room: int) -> tuple[Form, bytes]:
    """Raises _LeftOut."""
    try:
        form = forms.named(name)
        content = _rendered(document, name)
    except (forms.NoSuchForm, FormAway) as away:
        logger.warning("The mail of %s %s goes without %s. %s", document.report, document.period, name, away)
        text = _("Without the file that you have chosen (%(form)s): it could not be made.")
        raise _LeftOut(text % {"form": forms.titles(name)[0]}) from None
    if len(content) > room:
        text = _("Without the file that you have chosen (%(form)s): its %(size)s MB are more than a mail takes.")
        raise _LeftOut(text % {"form": form.title, "size": wording.number(len(content) / 1_000_000, places=1)})
    return form, content


def _kept(document: Document, form: Form, content: bytes) -> Mapping[str, str]:
    """By the name that its digest gives it: a mail has the file that was meant when it was enqueued."""
    stored = storage.keep_letter(document, content, suffix=form.suffix)
    return {
        "storage_name": stored["storage_name"],
        "name": f"{storage.name_of(document)}{form.suffix}",
        # Without its parameter, which the task takes for no type; the CSV's own first letters say how it is written.
        "content_type": form.content_type.partition(";")[0],
    }


@lru_cache(maxsize=4)
def _rendered(document: Document, name: str) -> bytes:
    """Once for all who have chosen it, whatever else they have chosen, and at whatever hour."""
    return forms.named(name).render(document)
