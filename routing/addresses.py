"""Addresses as they are shown to whoever holds a link: known to their owner, and to nobody it was forwarded to."""


def masked(address: str) -> str:
    """``a…n@example.org``."""
    name, _at, domain = address.rpartition("@")
    return f"{name[:1]}…{name[-1:] if len(name) > 2 else ''}@{domain}"
