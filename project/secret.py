"""A secret key of this installation's own, made at the first start."""

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from project.preflight import sentence


def load_or_create(path: Path) -> str:
    """Read the key, or make one that only its owner can read. Two processes starting at once get the same one.

    Raises ImproperlyConfigured where the folder or the file is out of reach.
    """
    try:
        return _load_or_create(path)
    except OSError as error:
        raise ImproperlyConfigured(sentence(error, path.parent)) from None


def _load_or_create(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
        # link() fails if another process was first, and then its key is the one.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
