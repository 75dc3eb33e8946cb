"""A search that is written down finds the same when it is read again, however much later."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from routing.console.searching import written
from routing.console.searching.parser import parse
from routing.console.searching.terms import CountedIn, FinishedIn
from routing.console.searching.words import vocabulary

pytestmark = [pytest.mark.any_database, pytest.mark.django_db]


def test_every_term_is_read_as_it_was_meant() -> None:
    now = timezone.now()
    line = (
        "state:failure task:reporting.* domain:notifications queue:reporting since:2d until:today waited:>5s ran:<=1h "
        'args.user_id:42 worker:a1 error:time-out "some text" 3f2504e0-4f89-41d3-9a0c-0305e82c3301'
    )
    search = parse(line, known=vocabulary(), now=now)
    assert search.mistakes == ()
    narrowed = (FinishedIn("finished", now - timedelta(days=1), now), CountedIn("counted in", ("-",)))
    found = (*search.terms, *narrowed)

    kept = json.dumps(written.write(found))

    assert written.read(json.loads(kept)) == found
    assert {type(term) for term in found} == set(written.KINDS.values())
