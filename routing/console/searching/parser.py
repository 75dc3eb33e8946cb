"""A line of the search language as terms. It asks nobody, and a mistake names the word and its cure.

Words stand between spaces, and all must hold: ``name:value``, ``args.key:value``, a task's id, or text to be found in
the arguments. What holds spaces or colons stands in double quotes, in which a backslash goes before each of ``"\\``.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from routing.console.number_words import grouped
from routing.console.searching import values
from routing.console.searching.terms import (
    NO_DOMAIN,
    Argument,
    Contains,
    DomainIn,
    Lasted,
    Mistake,
    QueueIn,
    Search,
    Since,
    StateIn,
    TaskIn,
    TaskIs,
    Term,
    Until,
)
from routing.console.searching.words import STATE_NAMES, WORDS, Vocabulary

MOST_CHARACTERS = 1_000
MOST_TERMS = 20
TASK_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_CLOSED = re.compile(rf'(?:{_QUOTED}|[^\s"])+', re.DOTALL)
_OPEN = r'"(?:[^"\\]|\\.)*\\?\Z'
_WORD = re.compile(rf"{_CLOSED.pattern}(?:{_OPEN})?|{_OPEN}", re.DOTALL)
_NAMED = re.compile(rf'([^\s":]+):((?:{_QUOTED}|[^"])*)', re.DOTALL)
Read = Term | Mistake


@dataclass(frozen=True)
class Given:
    """A word, what stands in it before and behind the colon, and what that may be."""

    word: str
    name: str
    value: str
    known: Vocabulary
    now: datetime

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, self.value.split(","))))


def parse(line: str, *, known: Vocabulary, now: datetime) -> Search:
    """``now``: what ``since:2d`` counts back from."""
    if len(line) > MOST_CHARACTERS:
        problem = _("The search has %(count)s characters.") % {"count": grouped(len(line))}
        cure = _("At most %(most)s characters can be looked for at once.") % {"most": grouped(MOST_CHARACTERS)}
        return Search(mistakes=(Mistake(f"{line[:20]}…", problem, cure),))
    if "\0" in line:
        return Search(mistakes=(Mistake("NUL", _("No task holds a NUL character."), _("Take it out.")),))
    found = [_read(word, known=known, now=now) for word in _WORD.findall(line)]
    terms = tuple(each for each in found if not isinstance(each, Mistake))
    mistakes = [each for each in found if isinstance(each, Mistake)]
    mistakes.extend(_repeated(terms))
    if len(found) > MOST_TERMS:
        problem = _("It is one of %(count)d words.") % {"count": len(found)}
        cure = _("At most %(most)d are understood; put a phrase in quotes.") % {"most": MOST_TERMS}
        mistakes.append(Mistake(terms[-1].word if terms else "", problem, cure))
    return Search(terms, tuple(mistakes))


def quoted(text: str) -> str:
    """Text as a word of the language."""
    if re.fullmatch(r'[^\s":]+', text) and not TASK_ID.fullmatch(text):
        return text
    return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", text))


def _read(word: str, *, known: Vocabulary, now: datetime) -> Read:
    if not _CLOSED.fullmatch(word):
        cure = _('Write "some text", and \\" for a mark within it.')
        return Mistake(word, _("A quotation mark is not closed."), cure)
    if TASK_ID.fullmatch(word):
        return TaskIs(word, word.lower())
    match = None if word.startswith('"') else _NAMED.fullmatch(word)
    if match is None:
        text = _unquoted(word)
        return Contains(word, "text", text) if text else Mistake(word, _("It is empty."), _("Leave it out."))
    name, value = match[1].lower(), _unquoted(match[2])
    if name.startswith("args.") and name != "args.":
        return _argument(Given(word, match[1][len("args.") :], value, known, now))
    if name not in _READERS:
        return _unknown(word, name)
    if not value:
        return Mistake(word, _("Nothing stands behind the colon."), _for_example(name))
    return _READERS[name](Given(word, name, value, known, now))


def _unquoted(text: str) -> str:
    return re.sub(_QUOTED, lambda part: re.sub(r"\\(.)", r"\1", part[0][1:-1], flags=re.DOTALL), text, flags=re.DOTALL)


def _unknown(word: str, name: str) -> Mistake:
    if name in ("args", "args."):
        return Mistake(word, _("It does not say which argument."), _for_example("args"))
    near = difflib.get_close_matches(name, WORDS, n=1)
    names = ", ".join(f"{each}:" if each != "args" else "args.NAME:" for each in WORDS)
    there_are = _("There are %(names)s; to look for it as text, write %(word)s") % {
        "names": names,
        "word": quoted(word),
    }
    cure = f"{_meant(f'{near[0]}:')}{there_are}" if near else there_are
    return Mistake(word, _("“%(name)s:” is nothing to search by.") % {"name": name}, cure)


def _meant(word: str) -> str:
    """With a space after it."""
    return _("Did you mean %(word)s?") % {"word": word} + " "


def _for_example(name: str) -> str:
    return _("Write for example %(word)s") % {"word": WORDS[name].example}


def _argument(given: Given) -> Read:
    if not given.value:
        return Mistake(given.word, _("Nothing stands behind the colon."), _for_example("args"))
    return Argument(given.word, given.name, given.value)


def _state(given: Given) -> Read:
    wrong = [name for name in given.names() if name.lower() not in STATE_NAMES and not _own_state(name)]
    if wrong or not given.names():
        return _not_known(given, wrong, tuple(STATE_NAMES), _("No state is called “%(name)s”."))
    return StateIn(given.word, tuple(STATE_NAMES.get(name.lower(), name) for name in given.names()))


def _own_state(name: str) -> bool:
    """A task may make one up; by custom it is in capitals."""
    return bool(re.fullmatch(r"[A-Z][A-Z0-9_]{0,49}", name))


def _domain(given: Given) -> Read:
    there_are = (*given.known.domains, NO_DOMAIN)
    wrong = [name for name in given.names() if name not in there_are]
    if wrong or not given.names():
        return _not_known(given, wrong, there_are, _("No domain is called “%(name)s”."))
    return DomainIn(given.word, given.names())


def _not_known(given: Given, wrong: list[str], there_are: tuple[str, ...], problem: str) -> Mistake:
    name = wrong[0] if wrong else given.value
    near = difflib.get_close_matches(name.lower(), there_are, n=1)
    cure = _("There are %(names)s") % {"names": ", ".join(there_are)}
    return Mistake(given.word, problem % {"name": name}, f"{_meant(near[0])}{cure}" if near else cure)


def _task(given: Given) -> Read:
    # Any other name may be that of a task which the code no longer has.
    return TaskIn(given.word, given.names()) if given.names() else _unnamed(given)


def _queue(given: Given) -> Read:
    return QueueIn(given.word, given.names()) if given.names() else _unnamed(given)


def _unnamed(given: Given) -> Mistake:
    return Mistake(given.word, _("No name stands behind the colon."), _for_example(given.name))


def _since(given: Given) -> Read:
    at = values.moment(given.word, given.value, now=given.now)
    if isinstance(at, Mistake):
        return at
    return Since(given.word, at) if given.name == "since" else Until(given.word, at)


def _lasted(given: Given) -> Read:
    found = values.bound(given.word, given.value)
    return found if isinstance(found, Mistake) else Lasted(given.word, given.name, *found)


def _contains(given: Given) -> Read:
    return Contains(given.word, given.name, given.value)


def _id(given: Given) -> Read:
    # Celery lets a caller choose an id that is no UUID, in which case counts.
    return TaskIs(given.word, given.value.lower() if TASK_ID.fullmatch(given.value) else given.value)


_READERS: dict[str, Callable[[Given], Read]] = {
    "id": _id,
    "state": _state,
    "task": _task,
    "domain": _domain,
    "queue": _queue,
    "worker": _contains,
    "error": _contains,
    "since": _since,
    "until": _since,
    "waited": _lasted,
    "ran": _lasted,
}
_ONCE = (TaskIs, StateIn, TaskIn, DomainIn, QueueIn, Since, Until)


def _repeated(terms: tuple[Term, ...]) -> Iterator[Mistake]:
    """Two of which no task could fulfil both, or which say one thing twice."""
    count: Counter[type] = Counter(type(term) for term in terms if isinstance(term, _ONCE))
    for term in terms:
        if count[type(term)] > 1:
            name = "id" if isinstance(term, TaskIs) else term.word.partition(":")[0].lower()
            problem = _("“%(name)s:” is given more than once.") % {"name": name}
            yield Mistake(term.word, problem, _once(name))
            count[type(term)] = 0


def _once(name: str) -> str:
    if name == "id":
        return _("Give one id.")
    if name in ("since", "until"):
        return _("Give one time.")
    return _("To find either, write %(name)s:one,other") % {"name": name}
