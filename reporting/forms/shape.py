"""What a form is: it turns any document into bytes, and knows blocks and cells, but no section and no report."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils import translation

from reporting.documents.document import Document


class FormAway(Exception):
    """A form cannot be made on this machine; the message tells the cure."""


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What stands below a report, for whom it was made; each empty where there is none. All are whole addresses."""

    web_url: str = ""
    """The report as a web page."""
    unsubscribe_url: str = ""
    manage_url: str = ""
    """Where its reader chooses what to get."""
    reason: str = ""
    """Why somebody gets it, in a sentence."""
    files: tuple[tuple[str, str], ...] = ()
    """The same in other forms: what each is called, and its address, beside the page's own."""


NO_FOOTER = Footer()


class Form(ABC):
    name: ClassVar[str]
    title: ClassVar[Any]
    """For people. Text; also one that is translated when it is read."""
    content_type: ClassVar[str]
    suffix: ClassVar[str]
    """Of its file, with the dot."""
    is_text: ClassVar[bool] = True
    """Whether its bytes are the words that people read, and can be searched for them."""
    goes_with_mail: ClassVar[bool] = False
    """Whether it can be attached to a mail, which says the same itself."""

    def render(self, document: Document, *, footer: Footer = NO_FOOTER) -> bytes:
        """In the document's language, whatever that of this process. Raises FormAway where something is missing."""
        with translation.override(document.language):
            return self.draw(document, footer=footer)

    @abstractmethod
    def draw(self, document: Document, *, footer: Footer) -> bytes:
        """Raises FormAway where what it is made with is missing."""
