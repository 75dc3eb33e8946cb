"""Bytes for people to read: text where they are text, and else a hexadecimal dump."""

import re
from itertools import islice

DUMPED = 4_096
"""Bytes of a dump; the rest is only counted."""
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def readable(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return dump(content)
    return dump(content) if _UNPRINTABLE.search(text) else text


def dump(content: bytes) -> str:
    """As ``hexdump -C``: offset, 16 bytes, and what of them is ASCII."""
    rows = [_row(start, content[start : start + 16]) for start in islice(range(0, len(content), 16), DUMPED // 16)]
    more = len(content) - DUMPED
    return "\n".join([*rows, f"… and {more:,} bytes more"] if more > 0 else rows)


def _row(start: int, part: bytes) -> str:
    ascii_part = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{start:08x}  {part.hex(' '):<47}  {ascii_part}"
