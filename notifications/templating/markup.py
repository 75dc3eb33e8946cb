"""Where in the HTML each value of a template lands; places where escaping would not keep it a value are refused."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from django.template.base import Lexer, Token, TokenType
from django.utils.translation import gettext as _

_OPENING = frozenset({"for", "if", "ifchanged", "spaceless", "with"})
_BETWEEN = frozenset({"elif", "else", "empty"})
_WRITING = frozenset({"cycle", "firstof", "widthratio"})


class Place(Enum):
    TEXT = auto()
    MARK = auto()
    """Right after a ``<``."""
    TAG = auto()
    EQUALS = auto()
    QUOTED = auto()
    UNQUOTED = auto()
    DECLARATION = auto()
    COMMENT = auto()
    RAW = auto()
    """In a script or style element."""


@dataclass
class Reader:
    """Reads HTML piece by piece, and knows where it is."""

    place: Place = Place.TEXT
    element: str = ""
    attribute: str = ""
    quote: str = ""
    complaints: list[str] = field(default_factory=list)
    _recent: str = ""
    _is_named: bool = False
    """The element's name is read; attributes follow."""

    def read(self, text: str) -> None:
        for char in text:
            getattr(self, f"_{self.place.name.lower()}")(char)

    @property
    def whereabouts(self) -> tuple[Place, str]:
        return self.place, self.attribute if self.place is Place.QUOTED else ""

    def _text(self, char: str) -> None:
        if char == "<":
            self.place, self.element, self.attribute, self._is_named = Place.MARK, "", "", False

    def _mark(self, char: str) -> None:
        if char.isalpha() or char == "/":
            self.place, self.element = Place.TAG, char.lower()
        elif char in "!?":
            self.place, self._recent = Place.DECLARATION, ""
        elif char != "<":
            self.place = Place.TEXT

    def _tag(self, char: str) -> None:
        if char == ">":
            self._end_of_tag()
        elif char == "=" and self.attribute:
            self._named_attribute()
        elif char.isspace() or char == "/":
            self._is_named = True
            self._recent = char
        elif not self._is_named:
            self.element += char.lower()
        else:
            self.attribute = char.lower() if self._recent else self.attribute + char.lower()
            self._recent = ""

    def _named_attribute(self) -> None:
        self.place = Place.EQUALS
        if self.attribute.startswith("on"):
            told = _("%(attribute)s=… is a script, which no mail reader runs; take it out")
            self.complaints.append(told % {"attribute": self.attribute})

    def _equals(self, char: str) -> None:
        if char in "\"'":
            self.place, self.quote = Place.QUOTED, char
        elif char == ">":
            self._end_of_tag()
        elif not char.isspace():
            self.place = Place.UNQUOTED

    def _quoted(self, char: str) -> None:
        if char == self.quote:
            self._end_of_value()

    def _unquoted(self, char: str) -> None:
        if char == ">":
            self._end_of_tag()
        elif char.isspace():
            self._end_of_value()

    def _end_of_value(self) -> None:
        self.place, self.attribute, self._recent = Place.TAG, "", " "

    def _end_of_tag(self) -> None:
        self.place = Place.RAW if self.element in ("script", "style") else Place.TEXT
        self.attribute = self._recent = ""
        if self.element == "script":
            self.complaints.append(_("<script> is run by no mail reader; take it out"))

    def _declaration(self, char: str) -> None:
        self._recent += char
        if char == ">":
            self.place = Place.TEXT
        elif len(self._recent) == 3 and self._recent.startswith("--") and char != "[":
            # What Outlook reads, <!--[if mso]> … <![endif]-->, is read as the HTML that it is.
            self.place, self._recent = Place.COMMENT, char

    def _comment(self, char: str) -> None:
        self._recent = (self._recent + char)[-3:]
        if self._recent == "-->":
            self.place = Place.TEXT

    def _raw(self, char: str) -> None:
        self._recent = (self._recent + char.lower())[-9:]
        if self._recent.endswith(f"</{self.element}"):
            self.place, self.element, self._is_named = Place.TAG, "/", True


def problems(source: str) -> Iterator[str]:
    """What is wrong with a template's HTML, each with its line. The template is one that compiles."""
    reader, opened = Reader(), list[tuple[str, tuple[Place, str]]]()
    for token in _outside_comments(source):
        if token.token_type == TokenType.TEXT:
            reader.read(token.contents)
            found = [*reader.complaints]
            reader.complaints.clear()
        elif token.token_type == TokenType.VAR:
            found = [*_of_value(reader, f"{{{{ {token.contents} }}}}")]
        else:
            found = [*_of_tag(reader, token.contents.split()[0], opened)]
        yield from (_("line %(number)d: %(what)s.") % {"number": token.lineno, "what": words} for words in found)


def _outside_comments(source: str) -> Iterator[Token]:
    is_comment = False
    for token in Lexer(source).tokenize():
        is_tag = token.token_type == TokenType.BLOCK
        if is_tag and token.contents.split()[0] == "comment":
            is_comment = True
        elif is_tag and is_comment and token.contents == "endcomment":
            is_comment = False
        elif not is_comment and token.token_type != TokenType.COMMENT:
            yield token


def _of_value(reader: Reader, written: str) -> Iterator[str]:
    match reader.place:
        case Place.MARK | Place.TAG:
            yield _("%(value)s stands where a tag or an attribute has its name; write that out") % {"value": written}
        case Place.EQUALS | Place.UNQUOTED:
            told = _('%(value)s is the value of %(attribute)s, and needs quotes: %(attribute)s="%(value)s"')
            yield told % {"value": written, "attribute": reader.attribute}
            reader.read("x")
        case Place.RAW:
            told = _('%(value)s stands in %(element)s; put it into an attribute style="…" instead')
            yield told % {"value": written, "element": f"<{reader.element}>"}
        case Place.QUOTED if reader.attribute == "srcdoc":
            yield _("%(value)s stands in srcdoc, where it would be read as HTML; take it out") % {"value": written}


def _of_tag(reader: Reader, tag: str, opened: list[tuple[str, tuple[Place, str]]]) -> Iterator[str]:
    if tag in _WRITING or reader.place in (Place.EQUALS, Place.UNQUOTED):
        yield from _of_value(reader, f"{{% {tag} … %}}")
    if tag in _OPENING:
        opened.append((tag, reader.whereabouts))
    elif opened and (tag in _BETWEEN or tag == f"end{opened[-1][0]}"):
        outer, before = opened[-1]
        if reader.whereabouts != before:
            told = _("a tag or attribute of HTML that begins or ends within %(tag)s must do both there")
            yield told % {"tag": f"{{% {outer} %}}"}
            reader.place, reader.attribute = before
        if tag not in _BETWEEN:
            opened.pop()
