"""Why there is no TLS to PostgreSQL, and the cure, in words that name no host and no user."""

from django.utils.translation import gettext_lazy

CURES = {
    "does not match host name": gettext_lazy(
        "PostgreSQL's certificate is for another host name. Put a name that it is for into DATABASE_URL."
    ),
    "certificate verify failed": gettext_lazy(
        "PostgreSQL's certificate has expired, or is not signed by the CA that DATABASE_URL names. Name the file of "
        "the CA that did: sslrootcert=/path/to/ca.pem."
    ),
    "root certificate file": gettext_lazy(
        "DATABASE_URL has PostgreSQL's certificate checked, and names no CA that can be read. Add "
        "&sslrootcert=/path/to/ca.pem, or &sslrootcert=system for those that this system trusts."
    ),
    "does not support SSL": gettext_lazy(
        "PostgreSQL speaks no TLS. Set ssl = on in its configuration, or correct DATABASE_URL."
    ),
    "no encryption": gettext_lazy(
        "PostgreSQL takes us with TLS only. Add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem to DATABASE_URL."
    ),
}
"""By what libpq or the server says."""


def cure(error: object) -> str | None:
    """None where it is about something else."""
    words = str(error)
    return next((str(sentence) for sign, sentence in CURES.items() if sign in words), None)
