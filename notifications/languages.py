"""The language that a recipient reads: one of LANGUAGES, and the site's own where nobody says."""

from django.conf import settings
from django.utils.translation import get_supported_language_variant


def nearest(code: object) -> str:
    """Of LANGUAGES, such as ``fr`` for ``fr-CA`` and, as operating systems write it, ``fr_CA``; empty for none."""
    if not code or not isinstance(code, str):
        # Most recipients bring none, and Django remembers only what it finds.
        return ""
    try:
        return str(get_supported_language_variant(code.lower().replace("_", "-")))
    except (LookupError, ValueError):
        return ""


def spoken(code: str) -> str:
    """What is said in; that of a row which names none, or one that is gone."""
    return nearest(code) or str(settings.LANGUAGE_CODE)


def others() -> dict[str, str]:
    """Beside the site's own, by code: what each calls itself."""
    return {code: str(name) for code, name in settings.LANGUAGES if code != settings.LANGUAGE_CODE}
