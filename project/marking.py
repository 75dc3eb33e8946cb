"""Marks texts for translation where the settings are not there yet, as they import what is declared."""


def gettext_noop(text: str) -> str:
    """As Django's, which asks the settings whether there are translations, and would leave them half made."""
    return text
