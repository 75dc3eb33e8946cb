"""One result, read by people."""

import re
import uuid
from datetime import timedelta

import pytest
from celery import states
from django.contrib.admin.utils import quote
from django.test import Client
from django.utils.html import escape
from django_celery_results.models import TaskResult
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from routing.console import page_parts
from routing.console.traceback_frames import pieces
from tests.console import specimens
from tests.console.specimens import result

pytestmark = pytest.mark.django_db

LINES = [
    *(
        "Traceback (most recent call last):\n",
        '  File "/srv/app/tasks.py", line 3, in run\n',
        "    work()\n",
        "    ^^^^\n",
    ),
    *('  File "/x/site-packages/celery/app/trace.py", line 453, in trace_task\n', "ValueError: no\n", "\n", "no end"),
    *("  + Exception Group Traceback (most recent call last):\n", '  |   File "/srv/app/tasks.py", line 3, in run\n'),
]

EVIL = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'


def page(client: Client, row: TaskResult) -> str:
    response = client.get(f"/admin/django_celery_results/taskresult/{row.pk}/change/")
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """The page's text on one line."""
    body = html.partition("<article")[2].partition("</article>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_a_success_tells_its_way_from_enqueueing_to_the_end(viewer: Client) -> None:
    row = result(
        waited=timedelta(seconds=12),
        ran=timedelta(milliseconds=655),
        outcome={"sent": 1},
        kwargs={"to": ["zoë"]},
        meta={"attempt": 2, "runs": 3},
    )

    text = words(page(viewer, row))

    assert "notifications.send_email success Enqueued" in text
    assert "after 12 s Finished" in text
    assert "after 655 ms" in text
    assert "Arguments { &quot;to&quot;: [ &quot;zoë&quot; ] } Result { &quot;sent&quot;: 1 }" in text
    assert "Queue notifications Worker notifications@app-1" in text
    assert "Attempt 2 Starts in this attempt 3" in text


def test_a_failure_begins_with_its_error(viewer: Client) -> None:
    html = page(viewer, specimens.a_busy_day()["refused"])

    assert "routing.errors.PermanentError The mail server refuses ada@example.org: 550 5.1.1" in words(html)
    # The error stands for the result, which holds the same words as JSON.
    assert "exc_type" not in html
    assert html.index("The mail server refuses") < html.index("Traceback (most recent call last)")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (states.PENDING, "It waits for a worker."),
        (states.STARTED, "A worker runs it."),
        (states.RETRY, "Attempt 2 failed; it waits to be tried again."),
        (states.REVOKED, "It was cancelled or expired before it could finish."),
        (states.IGNORED, "It ran and asked for no outcome"),
    ],
)
def test_an_unusual_state_is_explained(viewer: Client, status: str, sentence: str) -> None:
    assert sentence in words(page(viewer, result(status=status, meta={"attempt": 2})))


def test_what_expired_says_so(viewer: Client) -> None:
    row = result(status=states.REVOKED, waited=None, meta={"reason": "expired"})

    assert "It expired before a worker took it." in words(page(viewer, row))


def test_what_was_cancelled_says_by_whom_and_why_and_whether_it_had_begun(viewer: Client) -> None:
    meta = {"reason": "revoked", "by": "ann@app-1", "note": "Wrong list <b>."}
    waiting, running = (result(status=states.REVOKED, meta={**meta, **ran}) for ran in ({}, {"ran": True}))

    assert "ann@app-1 cancelled it before it began. Wrong list &lt;b&gt;." in words(page(viewer, waiting))
    assert "ann@app-1 cancelled it while it ran; what its body came to does not count." in words(page(viewer, running))


def test_celerys_own_state_is_there_to_be_read(viewer: Client) -> None:
    assert "Celery&#x27;s state PENDING" in words(page(viewer, result(status=states.PENDING)))


def test_a_flow_leads_from_row_to_row(viewer: Client) -> None:
    report = specimens.a_busy_day()["report"]
    mail = TaskResult.objects.filter(meta__contains=f'"parent_id": "{report.task_id}"').first()
    assert mail

    assert f"/taskresult/{mail.pk}/change/" in page(viewer, report)
    assert f"/taskresult/{report.pk}/change/" in page(viewer, mail)


def test_the_tasks_of_a_group_are_found_inside_it(viewer: Client) -> None:
    member, group = result("reporting.part"), str(uuid.uuid4())
    children = [[[group, None], [[[member.task_id, None], None]]]]

    html = page(viewer, result(meta={"children": children}))

    assert f"/taskresult/{member.pk}/change/" in html
    assert group not in html


def test_a_relative_may_still_be_in_flight(viewer: Client) -> None:
    child = specimens.in_flight()

    html = page(viewer, result(meta={"children": [[[child.pk, None], None]]}))

    assert f"/admin/routing/message/{quote(child.pk)}/change/" in html
    assert "waiting" in words(html)


def test_a_relative_whose_row_is_gone_is_named_by_its_id(viewer: Client) -> None:
    gone = str(uuid.uuid4())

    assert gone in words(page(viewer, result(meta={"parent_id": gone})))


def test_a_flow_is_a_tree_with_states_from_whichever_of_its_tasks(viewer: Client) -> None:
    waiting = specimens.in_flight("reporting.last")
    chord, parts = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(2)]
    root = str(uuid.uuid4())
    group = [[[str(uuid.uuid4()), None], [[[part, None], None] for part in parts]]]
    first = result("reporting.first", task_id=root, meta={"children": [[[chord, None], None]]})
    result("reporting.spread", task_id=chord, meta={"root_id": root, "children": group})
    result("reporting.part", task_id=parts[0], meta={"root_id": root}, status=states.FAILURE)
    member = result(
        "reporting.part", task_id=parts[1], meta={"root_id": root, "children": [[[waiting.pk, None], None]]}
    )

    for row in (first, member):
        html = page(viewer, row)
        tree = html.partition('<ul class="console-flow">')[2].partition("</ul>")[0]
        depths = [int(depth) for depth in re.findall(r"--depth: (\d+)", tree)]
        names = re.sub(r"<[^>]*>", " ", tree).split()
        assert depths == [0, 1, 2, 2, 3]
        assert names == [
            *("reporting.first", "success", "reporting.spread", "success", "reporting.part", "failure"),
            *("reporting.part", "success", "reporting.last", "waiting"),
        ]
        assert tree.count("aria-current") == 1


def test_a_flow_of_many_says_that_there_are_more(viewer: Client) -> None:
    row = result(meta={"children": [[[str(uuid.uuid4()), None], None] for _ in range(150)]})

    assert "It has more tasks than are shown here." in page(viewer, row)


def test_tasks_that_name_each_other_make_no_circle(viewer: Client) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    row = result(task_id=one, meta={"children": [[[other, None], None]]})
    result(task_id=other, meta={"children": [[[one, None], None]]})

    assert page(viewer, row).count("--depth") == 2


def test_the_last_runs_of_the_same_task_are_a_step_away(viewer: Client) -> None:
    older = result(status=states.FAILURE, enqueued=timedelta(hours=2))
    result("reporting.weekly")

    html = page(viewer, result())

    assert "Last runs of this task 2 hours ago failure 310 ms All its results" in words(html)
    assert f"/taskresult/{older.pk}/change/" in html
    assert "?task=notifications.send_email" in html


def test_the_projects_own_frames_stand_out_in_a_traceback(viewer: Client) -> None:
    html = page(viewer, specimens.a_busy_day()["refused"])

    own = re.findall(r"<mark>(.*?)</mark>", html, re.DOTALL)
    assert [re.search(r"/srv/\S+\.py", frame)[0] for frame in own] == [  # type: ignore[index]
        "/srv/taskyard/notifications/tasks.py",
        "/srv/taskyard/notifications/services.py",
    ]
    assert "site-packages" in html


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_the_pieces_of_a_traceback_are_the_traceback(lines: list[str]) -> None:
    text = "".join(lines)

    assert "".join(piece.text for piece in pieces(text)) == text


def test_the_page_asks_the_database_little(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    report = specimens.a_busy_day()["report"]

    # Session, user, two for permissions, the row for this page and for Django's own view of it, the flow at two depths
    # (and in flight, for each of them), the last runs, the bell.
    with django_assert_max_num_queries(12):
        page(viewer, report)


def test_a_long_value_is_folded_and_whole(viewer: Client) -> None:
    value = ["line"] * 1000
    html = page(viewer, result(outcome=value))

    assert html.count("&quot;line&quot;") == len(value)
    assert re.search(r'<details class="console-value" >\s*<summary>Result', html)


def test_what_is_too_long_for_a_page_is_said(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_parts, "SHOWN", 100)

    text = words(page(viewer, result(outcome="x" * 398)))

    assert "The last 300 characters are not shown here" in text


@pytest.mark.parametrize("stored", ["not JSON <b>", '{"exc_type"', "[1, NaN", "\\x00"])
def test_what_is_not_json_is_shown_as_it_is(viewer: Client, stored: str) -> None:
    row = result(status=states.FAILURE)
    TaskResult.objects.filter(pk=row.pk).update(result=stored, task_kwargs=stored, meta=stored, task_name=None)
    row.refresh_from_db()

    assert page(viewer, row).count(f">{escape(stored)}</pre>") == 2


@pytest.mark.parametrize("error", [{"exc_type": "E"}, {"exc_type": "E", "exc_message": None}, {"exc_type": 7}, ["odd"]])
def test_an_error_of_another_shape_breaks_nothing(viewer: Client, error: object) -> None:
    assert page(viewer, result(status=states.FAILURE, outcome=error))


@pytest.mark.parametrize("children", [None, 7, "x", [7], [[None, None]], [[[], []]], [[["a"], None]], {"a": 1}])
def test_children_of_another_shape_break_nothing(viewer: Client, children: object) -> None:
    assert page(viewer, result(meta={"children": children, "attempt": "many"}))


def test_nothing_a_task_brings_is_taken_for_html(viewer: Client) -> None:
    row = result(
        EVIL,
        status=states.FAILURE,
        outcome={"exc_type": EVIL, "exc_message": [EVIL], "exc_module": EVIL},
        kwargs={EVIL: EVIL},
        traceback=EVIL,
        periodic_task_name=EVIL,
        meta={"queue": EVIL, "parent_id": EVIL, "attempt": EVIL, "children": [[[EVIL, None], None]]},
    )
    TaskResult.objects.filter(pk=row.pk).update(worker=EVIL[:100])

    html = page(viewer, row)

    assert '<script>alert("x")' not in html
    assert "<img src=x" not in html


def test_there_is_nothing_to_change_on_the_page(admin_client: Client) -> None:
    article = page(admin_client, result()).partition("<article")[2].partition("</article>")[0]

    assert article
    assert not re.search(r"<(form|input|textarea|button)\b", article)
