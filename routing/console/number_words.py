"""Numbers as people write them in the language that is spoken."""

from django.utils.formats import number_format


def grouped(value: float, *, places: int = 0) -> str:
    """Such as “1,204.5” in English. Rounded first: Django would cut it off."""
    return str(number_format(f"{value:.{places}f}", decimal_pos=places, force_grouping=True))
