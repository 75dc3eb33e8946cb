"""Hands one e-mail to a provider's HTTP API through django-anymail, whose exceptions become our answers.

Loaded only where a provider is configured: most installations do without django-anymail.
"""

from collections.abc import Callable, Iterator
from typing import Any

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailError,
    AnymailRecipientsRefused,
)
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from notifications.channels import answers
from notifications.channels.shape import Answer, Uncertain, Unreachable
from notifications.tables import Attempt

_KEEP_OUR_ID = {"X-PM-KeepID": "true"}
"""Postmark makes a Message-ID of its own, unless it reads this."""

# Not about this message: the key, the account, its payment, the address of the API.
_ABOUT_SETTINGS = frozenset({401, 402, 403, 404, 405})
_BUSY, _UNAVAILABLE = 429, 503
_REQUEST_TIMEOUT, _GATEWAY_TIMEOUT = 408, 504


def hand_over(
    backend: BaseEmailBackend, email: mail.EmailMessage, *, variable: str, handing_over: Callable[[], Any]
) -> Answer:
    """``variable`` names the setting to correct. Raises Unreachable and Uncertain."""
    name = str(getattr(backend, "esp_name", type(backend).__module__))
    if name == "Postmark":
        email.extra_headers |= _KEEP_OUR_ID
    handing_over()
    try:
        sent = backend.send_messages([email])
    except AnymailRecipientsRefused as error:
        return _refused(error, name)
    except AnymailAPIError as error:
        return _answer(error, name, variable)
    except AnymailConfigurationError as error:
        raise Unreachable(f"{name} cannot be used: {answers.words(str(error))} Correct {variable}.") from error
    except AnymailError as error:
        return Answer(Attempt.Outcome.PERMANENT, f"{name} cannot send this: {answers.words(str(error))}")
    except SoftTimeLimitExceeded as error:
        raise Uncertain(f"{name} took longer than this task may run") from error
    if not sent:
        return Answer(Attempt.Outcome.PERMANENT, f"A receiver of anymail's pre_send signal kept it from {name}")
    return Answer(Attempt.Outcome.ACCEPTED, _told(email, name))


def _told(email: Any, name: str) -> str:
    """With the provider's own id, by which its log and its support know the message."""
    status = email.anymail_status
    said = ", ".join(sorted(status.status or ()))
    return answers.words(f"{name}: {said}, {status.message_id}" if status.message_id else f"{name}: {said}")


def _refused(error: AnymailRecipientsRefused, name: str) -> Answer:
    """``rejected`` may be about us, ``invalid`` is about the address."""
    status = error.email_message.anymail_status if error.email_message else None
    said = set(status.status or ()) if status else set()
    text = f"{name} refused the recipient: {', '.join(sorted(said)) or answers.words(str(error))}"
    return Answer(Attempt.Outcome.PERMANENT, text, blames_address=said == {"invalid"})


def _answer(error: AnymailAPIError, name: str, variable: str) -> Answer:
    code = error.status_code
    if code is None:
        raise _broken_off(error, name) from error
    said = f"{name}: {code} {_body(error)}"
    if code in _ABOUT_SETTINGS:
        raise Unreachable(f"{said}. Correct {variable}, if it is not the provider's own fault.") from error
    if code < 300 or code == _GATEWAY_TIMEOUT:
        raise Uncertain(f"{said}: whether it was taken does not follow from that") from error
    if code < 400:
        raise Unreachable(f"{said}. The API is elsewhere: correct {variable}.") from error
    if code in (_BUSY, _REQUEST_TIMEOUT) or code >= 500:
        response: Any = error.response
        wait = answers.retry_after(str(response.headers.get("Retry-After", "")))
        # The account is to be left alone for so long, whoever the next message is for.
        is_for_all = wait is not None and code in (_BUSY, _UNAVAILABLE)
        return Answer(Attempt.Outcome.TEMPORARY, said, code, retry_after=wait, is_for_all=is_for_all)
    return Answer(Attempt.Outcome.PERMANENT, said, code)


def _body(error: AnymailAPIError) -> str:
    response: Any = error.response
    return answers.words(response.text or response.reason or "")


def _broken_off(error: AnymailAPIError, name: str) -> Unreachable | Uncertain:
    """Whether the request had gone out, is in what urllib3 said below."""
    said = answers.words(str(error.__cause__ or error))
    never_sent = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.SSLError,
        requests.exceptions.ProxyError,
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
    )
    if isinstance(error, never_sent) or any(
        isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in _causes(error)
    ):
        return Unreachable(f"{name} cannot be reached: {said}")
    return Uncertain(f"{name} broke off while it took the message: {said}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        for inner in error.args:
            if isinstance(inner, MaxRetryError) and inner.reason is not None:
                yield inner.reason
        error = error.__cause__
