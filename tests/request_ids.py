"""A web request's id in this thread, as the middleware and Django's end of the request have it."""

from collections.abc import Iterator
from contextlib import contextmanager

from routing import correlation


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    correlation.begin_request(request_id)
    try:
        yield
    finally:
        correlation.end_request()
