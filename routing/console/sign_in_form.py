"""The admin's form to sign in, which says how long to wait after too many attempts."""

import logging
import math
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import ngettext
from unfold.forms import AuthenticationForm

from routing.console import sign_ins

logger = logging.getLogger(__name__)


class SignInForm(AuthenticationForm):
    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        name = given.get("username")
        if not name or not given.get("password"):
            return given
        address = sign_ins.address_of(self.request)
        if wait := sign_ins.attempt(name, address):
            logger.warning("Too many attempts to sign in from %s", address)
            raise ValidationError(_words(math.ceil(wait.total_seconds() / 60)), code="too_many")
        cleaned: dict[str, Any] = super().clean()
        sign_ins.succeeded(name, address)
        return cleaned


def _words(minutes: int) -> str:
    return ngettext(
        "Too many attempts to sign in. Try again in %(minutes)d minute, or have an operator run: manage.py sign_ins "
        "unlock NAME",
        "Too many attempts to sign in. Try again in %(minutes)d minutes, or have an operator run: manage.py sign_ins "
        "unlock NAME",
        minutes,
    ) % {"minutes": minutes}
