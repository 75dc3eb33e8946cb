"""A traceback in pieces, so that a page can set the project's own frames apart from those of libraries."""

import re
from dataclasses import dataclass

# Of whichever machine the worker ran on: the frame's path is all that is known of it.
_LIBRARY = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python\d|^<frozen |[\\/]\.?venv[\\/]")
_FRAME = re.compile(r'^[ |]*File "([^"\n]*)", line \d+.*\n(?:^(?![ |]*File ")[ |]+.*\n?)*', re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    text: str
    own: bool = False


def pieces(traceback: str) -> list[Piece]:
    """Together they are the traceback, character for character."""
    found: list[Piece] = []
    reached = 0
    for frame in _FRAME.finditer(traceback):
        if frame.start() > reached:
            found.append(Piece(traceback[reached : frame.start()]))
        found.append(Piece(frame[0], own=not _LIBRARY.search(frame[1])))
        reached = frame.end()
    return [*found, Piece(traceback[reached:])] if reached < len(traceback) else found
