"""Whether a refusal for good is about the address, so that nothing will ever reach it.

An address that is suppressed by mistake gets no password reset, and nobody notices. So it takes words or a code that
can mean nothing else.
"""

import re

# RFC 3463 and 7505: no such mailbox or domain, not an address, moved away, takes no mail at all, disabled. Not 5.1.0
# (some other trouble), 5.1.7 and 5.1.8 (the sender's address), 5.2.2 (full), 5.7.x (policy).
_OF_THE_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_ENHANCED = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w.]\d)")
_VAGUE = ("5.0.0", "5.1.0")
_REPLIES = frozenset({550, 551, 553})
_WORDS = re.compile(
    r"""(no\ such|unknown|invalid|non-?existent|unrouteable)\ (\w+\ )?
            (user|mailbox|recipient|address|account|domain|here)
    | (user|mailbox|recipient|address|account)\ (\S+\ )?(is\ )?
            (unknown|invalid|(was\ )?not\ found|does\ not\ exist|doesn't\ exist)
    | no\ mailbox\ (here|by\ that\ name)""",
    re.IGNORECASE | re.VERBOSE,
)


def blames_address(code: int, text: str) -> bool:
    """Of a refusal of the recipient: the reply's code and words, such as ``550, "5.1.1 No such user"``."""
    if code < 500:
        return False
    status = enhanced(text)
    if status and status not in _VAGUE:
        return status in _OF_THE_ADDRESS
    return code in _REPLIES and _WORDS.search(text) is not None


def enhanced(text: str) -> str:
    """The code such as ``5.1.1`` in it; empty if there is none."""
    found = _ENHANCED.search(text)
    return found[1] if found else ""


def blames(status: str, text: str = "") -> bool:
    """The same of a report: its status, such as ``5.1.1``, and what the server had said."""
    if status in _VAGUE or not status:
        reply = re.match(r"\D*(5\d\d)\b", text)
        return blames_address(int(reply[1]) if reply else 550, text)
    return status in _OF_THE_ADDRESS
