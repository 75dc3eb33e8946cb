"""Which row of ``Process`` this worker is; its pool's children are forked after it is known, and inherit it."""

_owner: int | None = None


def owner() -> int:
    """What owns the messages that this worker claims. Raises RuntimeError outside a worker."""
    if _owner is None:
        raise RuntimeError("This process is no worker, so it can own no task. Start one: manage.py pool NAME")
    return _owner


def become(process_id: int | None) -> None:
    global _owner
    _owner = process_id
