"""``manage.py notify``: one delivery for each good row of a CSV file, and a sentence for each bad one."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from notifications import content, services
from notifications.tables import Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.ledger.tables import Message, Outbox
from tests.dead_broker import absent_broker

__all__ = ["absent_broker"]

pytestmark = pytest.mark.django_db


@dataclass
class Ending:
    """How a run of the command ended."""

    status: int
    said: str


@pytest.fixture
def notify(tmp_path: Path) -> Callable[..., Ending]:
    """Run the command with this CSV, and return its exit status and all it said."""

    def run(
        content: str | bytes, *options: str, subject: str | None = "Hello {{ name }}", text: str = "Hi {{ name }}\n"
    ) -> Ending:
        (tmp_path / "list.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        (tmp_path / "hello.txt").write_text(text)
        said = io.StringIO()
        arguments = [f"--csv={tmp_path / 'list.csv'}", *([f"--subject={subject}"] if subject is not None else [])]
        if not any(option.startswith("--template") for option in options):
            arguments.append(f"--template={tmp_path / 'hello.txt'}")
        try:
            call_command("notify", *arguments, *options, stdout=said, stderr=said)
        except CommandError as error:
            return Ending(error.returncode, f"{said.getvalue()}{error}")
        except SystemExit as end:
            return Ending(int(end.code or 0), said.getvalue())
        return Ending(0, said.getvalue())

    return run


def dry(notify: Callable[..., Ending], content: str | bytes, *options: str, **templates: str | None) -> Ending:
    return notify(content, "--dry-run", *options, **templates)


def written_to() -> list[str]:
    """Who has a delivery, in the order of the file."""
    return list(Delivery.objects.order_by("notification__created_at", "position").values_list("address", flat=True))


def test_each_row_becomes_a_delivery_of_its_own(notify: Callable[..., Ending]) -> None:
    ending = notify("email,name\nann@example.org,Ann\nben@example.org,Ben\n")

    notification = Notification.objects.get()
    told = f"Notification {notification.pk}: its page in the admin tells what becomes of each."
    assert ending == Ending(0, f"Sent 2, refused 0.\n{told}\n")
    assert [(one.address, *vars(content.of(one)).values()) for one in notification.deliveries.order_by("position")] == [
        ("ann@example.org", "Hello Ann", "Hi Ann\n", ""),
        ("ben@example.org", "Hello Ben", "Hi Ben\n", ""),
    ]
    assert Outbox.objects.filter(queue="notifications").count() == 2


def test_what_is_said_is_stored_once_and_each_row_has_only_what_it_needs(notify: Callable[..., Ending]) -> None:
    notify("email,name,salary\nann@example.org,Ann,7\n")

    notification = Notification.objects.get()
    assert (notification.subject, notification.text) == ("Hello {{ name }}", "Hi {{ name }}\n")
    assert notification.deliveries.get().context == {"name": "Ann"}


def test_the_same_command_again_sends_nothing_twice(notify: Callable[..., Ending]) -> None:
    rows = "email,name\nann@example.org,Ann\nben@,Ben\n"
    first = notify(rows)

    again = notify(rows)

    assert (first.status, again.status) == (1, 1)
    assert "Sent before: 1, refused 1.\nNothing is sent twice; --again sends it anew, to everybody.\n" in again.said
    assert written_to() == ["ann@example.org"]


def test_another_text_or_file_is_another_mailing(notify: Callable[..., Ending]) -> None:
    notify("email,name\nann@example.org,Ann\n")
    notify("email,name\nann@example.org,Ann\n", text="Hi again {{ name }}\n")
    notify("email,name\nann@example.org,Anne\n")

    assert Notification.objects.count() == 3


def test_it_is_sent_anew_on_purpose(notify: Callable[..., Ending]) -> None:
    rows = "email,name\nann@example.org,Ann\n"
    for _ in range(2):
        notify(rows, "--again")
    notify(rows, "--key=mine")
    notify(rows, "--key=mine")

    assert written_to() == ["ann@example.org"] * 3


def test_a_mailing_that_was_stopped_is_gone_on_with_and_not_sent_anew(notify: Callable[..., Ending]) -> None:
    rows = "email,name\nann@example.org,Ann\nben@example.org,Ben\n"
    notify(rows)
    Delivery.objects.filter(position=1).delete()
    Notification.objects.update(is_complete=False, consumed=1, recipients=1)

    refused = [notify(rows, "--again"), notify(rows, "--from-line=3")]
    gone_on = notify(rows)

    assert [ending.status for ending in refused] == [2, 2]
    assert all("was stopped after row 1. The same command without --" in ending.said for ending in refused)
    assert "Sent 2, refused 0." in gone_on.said
    assert written_to() == ["ann@example.org", "ben@example.org"]


def test_a_mailing_that_was_cancelled_stays_so_until_it_is_sent_anew(notify: Callable[..., Ending]) -> None:
    rows = "email,name\nann@example.org,Ann\n"
    notify(rows)
    services.cancel(Notification.objects.get())

    assert "has been cancelled. Add --again" in notify(rows).said
    assert notify(rows, "--again").status == 0


def test_the_outcome_can_be_read_by_programs(notify: Callable[..., Ending]) -> None:
    ending = notify("email,name\nann@example.org,Ann\nben@,Ben\n", "--json")

    assert json.loads(ending.said) == {
        "notification": str(Notification.objects.get().pk),
        "key": Notification.objects.get().key,
        "sent": 1,
        "refused": 1,
        "complete": True,
        "stopped": None,
        "before": False,
    }


def test_lane_category_and_time_are_those_that_were_given(notify: Callable[..., Ending]) -> None:
    notify("email,name\nann@example.org,Ann\n", "--lane=bulk", "--category=news", "--send-at=2100-01-31 09:00+01:00")

    notification = Notification.objects.get()
    assert (notification.lane, notification.category) == ("bulk", "news")
    assert notification.send_at is not None
    assert notification.send_at.isoformat() == "2100-01-31T08:00:00+00:00"
    assert Message.objects.get().due_at == notification.send_at


def test_a_mailing_to_more_than_a_few_has_to_say_why_it_is_written(notify: Callable[..., Ending]) -> None:
    rows = "email,name\n" + "".join(f"n{number}@example.org,N\n" for number in range(6))

    ending = notify(rows)

    assert ending.status == 2
    assert "has more than 5 recipients: say why they are written to." in ending.said
    assert "--category account      Your account: nobody can unsubscribe from it" in ending.said
    assert "--category news         News: recipients can unsubscribe from it" in ending.said
    assert not Notification.objects.exists()
    assert dry(notify, rows).status == 2
    assert notify(rows, "--category=news").status == 0
    assert Notification.objects.get().category == "news"


def test_a_few_are_written_to_without_saying_why(notify: Callable[..., Ending]) -> None:
    rows = "email,name\n" + "".join(f"n{number}@example.org,N\n" for number in range(5))

    assert notify(rows).status == 0

    assert Notification.objects.get().category == "account"


def test_a_time_that_is_none_is_a_sentence(notify: Callable[..., Ending]) -> None:
    ending = notify("email,name\nann@example.org,Ann\n", "--send-at=tomorrow")

    assert ending == Ending(2, "--send-at 'tomorrow' is no point in time. Write it such as 2030-01-31 09:00.")


@pytest.fixture
def reminder() -> TemplateVersion:
    template = Template.objects.create(name="reminder")
    variables = [{"name": "name", "required": True}, {"name": "pin", "required": False, "secret": True}]
    return TemplateVersion.objects.create(
        template=template, number=1, subject="For {{ name }}", html="<p>{{ name }}: {{ pin }}</p>", variables=variables
    )


def test_a_template_of_the_admin_does(notify: Callable[..., Ending], reminder: TemplateVersion) -> None:
    rows = "email,name,pin\nann@example.org,Ann,1234\n"

    shown = dry(notify, rows, "--template=reminder", subject=None)
    notify(rows, "--template=reminder", subject=None)

    assert "Subject: For Ann\n\nAnn: 1234\n" in shown.said
    delivery = Delivery.objects.get()
    assert delivery.notification.template == reminder
    assert "1234" not in str(delivery.context)


def test_a_template_of_the_admin_needs_its_columns_and_no_subject(
    notify: Callable[..., Ending], reminder: TemplateVersion
) -> None:
    rows = "email,name\nann@example.org,Ann\n"

    without_pin = notify(rows, "--template=reminder", subject=None)
    with_subject = notify(rows, "--template=reminder")

    assert "The template 'reminder' uses {{ pin }}, but the columns give only" in without_pin.said
    assert "brings its own subject and HTML. Leave those options out." in with_subject.said
    assert (without_pin.status, with_subject.status) == (2, 2)


def test_a_file_needs_a_subject(notify: Callable[..., Ending]) -> None:
    assert "--subject is missing: " in notify("email,name\nann@example.org,Ann\n", subject=None).said


def test_bad_rows_are_refused_by_line_while_good_ones_are_sent(notify: Callable[..., Ending]) -> None:
    ending = notify(
        'email,name\nann@example.org,Ann\nben@,Ben\n\ncat@example.org,"Cat\athe second"\n\ndan@example.org\n'
        "eve@example.org,Eve,extra\n,Nobody\nfay@example.org,Fay\n",
        "--lane=bulk",
        "--category=account",
    )

    assert ending.status == 1
    assert [line for line in ending.said.splitlines() if line.startswith("Line")] == [
        "Line 3: 'ben@' is no e-mail address, such as name@example.org.",
        "Line 5: subject has a line break or another control character; write it in one line.",
        "Line 7: it has 1 field where the heading has 2.",
        "Line 8: it has 3 fields where the heading has 2; put a field that contains the delimiter into quotes.",
        "Line 9: the address is empty.",
    ]
    assert "Sent 2, refused 5.\n" in ending.said
    assert written_to() == ["ann@example.org", "fay@example.org"]
    assert Outbox.objects.filter(queue="notifications.bulk").count() == 2


@pytest.mark.parametrize(
    "encoded",
    [
        "email,name\njorg@example.org,Jörg\n".encode(),
        "email,name\njorg@example.org,Jörg\n".encode("utf-8-sig"),
        "email,name\njorg@example.org,Jörg\n".encode("utf-16"),
        "email,name\njorg@example.org,Jörg\n".encode("utf-16-le"),
        "email,name\njorg@example.org,Jörg\n".encode("utf-16-be"),
        "email,name\njorg@example.org,Jörg\n".encode("cp1252"),
        "email,name\r\njorg@example.org,Jörg\r\n".encode(),
        "email,name\rjorg@example.org,Jörg\r".encode(),
        "email;name\njorg@example.org;Jörg".encode(),
        "email\tname\njorg@example.org\tJörg\n".encode(),
        "\n\n Name | EMAIL \n Jörg | jorg@example.org \n".encode(),
        'email,name\n"jorg@example.org","Jörg"\n\n,\n'.encode(),
    ],
)
def test_encoding_delimiter_and_line_ends_are_found_out(notify: Callable[..., Ending], encoded: bytes) -> None:
    ending = dry(notify, encoded)

    assert ending.status == 0
    assert "To: jorg@example.org\nSubject: Hello Jörg\n\nHi Jörg\n" in ending.said


def test_an_encoding_that_was_guessed_is_said(notify: Callable[..., Ending]) -> None:
    assert "not written in UTF-8" in dry(notify, "email,name\nj@example.org,Jörg\n".encode("cp1252")).said


def test_a_quoted_line_break_keeps_the_line_numbers_right(notify: Callable[..., Ending]) -> None:
    ending = dry(notify, 'email,name\n"ann@example.org","A\nnn"\nben@,Ben\n', subject="Hello")

    assert "Line 4: 'ben@'" in ending.said


def test_a_quotation_mark_that_is_not_closed_costs_its_own_line_alone(notify: Callable[..., Ending]) -> None:
    rows = "".join(f"row{number}@example.org,Row\n" for number in range(3, 500))

    ending = dry(notify, f'email,name\nann@example.org,"Ann\n{rows}ben@,Ben\n', "--category=news")

    assert "Line 2: its quotation marks are wrong" in ending.said
    assert "Line 500: 'ben@'" in ending.said
    assert "Would send 497, refused 2." in ending.said


def test_the_same_address_again_is_refused_with_the_line_it_was_in(notify: Callable[..., Ending]) -> None:
    content = "email,name\nann@example.org,Ann\nAnn <ANN@example.org>,Anna\n"

    assert "Line 3: ANN@example.org is in line 2 already." in dry(notify, content).said
    assert "Would send 2, refused 0." in dry(notify, content, "--allow-duplicates").said


def test_an_address_whose_first_row_was_refused_may_come_again(notify: Callable[..., Ending]) -> None:
    ending = dry(notify, "email,name\nann@example.org,Ann,extra\nann@example.org,Ann\n")

    assert "Would send 1, refused 1." in ending.said


def test_another_column_may_hold_the_address(notify: Callable[..., Ending]) -> None:
    ending = dry(
        notify, "E-Mail,First Name\nann@example.org,Ann\n", "--column=e-mail", subject="Hi {{ first_name }}", text="x"
    )

    assert "Subject: Hi Ann" in ending.said


def test_values_are_escaped_in_html_and_nowhere_else(notify: Callable[..., Ending], tmp_path: Path) -> None:
    (tmp_path / "hello.html").write_text("<p>{{ name }}</p>")

    ending = dry(notify, "email,name\nann@example.org,Ann & <Ben>\n", f"--html-template={tmp_path / 'hello.html'}")

    assert "Subject: Hello Ann & <Ben>\n\nHi Ann & <Ben>\n" in ending.said
    assert "<p>Ann &amp; &lt;Ben&gt;</p>" in ending.said


def test_a_template_of_an_app_does_too(notify: Callable[..., Ending]) -> None:
    options = ["--template=notifications/hello.txt", "--html-template=notifications/hello.html"]

    ending = dry(notify, "email,name\nann@example.org,Ann\n", *options)

    assert "Hello Ann,\n" in ending.said
    assert "Hello <strong>Ann</strong>," in ending.said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no rows. Its first line must name the columns"),
        ("\n\n", "has no rows"),
        ("email,name\n", "has no row from line 1 on"),
        (
            "mail,name\nann@example.org,Ann\n",
            "There is no column 'email'; the columns are mail, name. Name the right one",
        ),
        ("ann@example.org,Ann\n", "seems to be a recipient already"),
        ("email,name,Name\na@example.org,A,B\n", "Two columns have the same name"),
        ('"email,name\n', "The heading of"),
        (b"PK\x03\x04 an Excel file", "is a spreadsheet. Save it as CSV"),
        ("email,name\n".encode("utf-16-le") + b"a\x00\x00\xd8\x00", "Save it as CSV (UTF-8)"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(
    notify: Callable[..., Ending], content: str | bytes, words: str
) -> None:
    ending = notify(content)

    assert ending.status == 2
    assert words in ending.said
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("path", "words"), [("absent.csv", "No such file"), ("/proc", "is no file"), ("/dev/null", "is no file")]
)
def test_what_is_no_file_is_a_sentence(path: str, words: str) -> None:
    with pytest.raises(CommandError, match=words) as error:
        call_command("notify", f"--csv={path}", "--subject=x", "--template=notifications/hello.txt")

    assert error.value.returncode == 2


@pytest.mark.parametrize(
    ("subject", "text", "words"),
    [
        ("Hello {{ nmae }}", "Hi", "The subject uses {{ nmae }}, but the columns give only {{ email }}, {{ name }}."),
        ("Hello", "{% if amount|default:due %}x{% endif %}", "hello.txt uses {{ amount }}, {{ due }}, but"),
        ("Hello", "{% for item in items %}{{ item }}{% endfor %}", "uses {{ items }}, but"),
        ("Hello", '{% include "notifications/hello.txt" with x=y %}', "uses {{ y }}, but"),
        ("Hello", "{% extends base %}", "hello.txt has {% extends base %} in line 1, whose template is not known yet"),
        ("Hello", "\n{% include name %}", "has {% include name %} in line 2, whose template is not known yet"),
        ("Hello", '{% include "notifications/hello.txt" only %}', "has {% include … only %} in line 1. Leave"),
        ("Hello", 'x {% block a %}{% endblock %}{% extends "notifications/hello.txt" %}', "It must be the first tag"),
        ("Hello", "{% block a %}", "has {% block %} in line 1 without {% endblock %}"),
        ("Hello", "{% load humanize %}", "hello.txt cannot be used: "),
        ("Hello", "{{ name|safe }}", "hello.txt cannot be used: "),
        ("Hello {{ name }}", "{% if %}", "hello.txt cannot be used"),
        (
            "Hello",
            "{% verbatim %}{{ {% endverbatim %}{{ name",
            "hello.txt cannot be used: line 1: {{ without }} on the same line.",
        ),
        ("Hello {{ name", "Hi", "The subject cannot be used: line 1: {{ without }} on the same line."),
        ("Hello", "Hi {% if name", "hello.txt cannot be used: line 1: {% without %} on the same line."),
        ("Hello {% nothing %}", "Hi", "The subject cannot be used: "),
        ("Hello", '{% include "nothing.txt" %}', "another template that cannot be used: nothing.txt"),
    ],
)
def test_a_template_that_cannot_be_used_is_found_before_anything_is_sent(
    notify: Callable[..., Ending], subject: str, text: str, words: str
) -> None:
    ending = notify("email,name\nann@example.org,Ann\n", subject=subject, text=text)

    assert ending.status == 2
    assert words in ending.said
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "text",
    [
        "{% if name and not email == 'x' %}{{ name|upper }}{% else %}{{ email }}{% endif %}",
        "{% for letter in name %}{{ forloop.counter }}{{ letter }}{% endfor %}",
        "{% with first=name|first last=None %}{{ first }}{{ last }}{% endwith %}{{ True }}",
        "{% verbatim %}{{ nothing\n{% endverbatim %}{{ name }}",
        "{{ name }} {{ unsubscribe_url }}",
        '{% include "notifications/hello.txt" with x=name %}',
        '{% extends "notifications/hello.txt" %}{% block a %}{{ block.super }}{% endblock %}',
    ],
)
def test_what_a_template_sets_itself_is_no_column(notify: Callable[..., Ending], text: str) -> None:
    assert dry(notify, "email,name\nann@example.org,Ann\n", text=text).status == 0


def test_a_missing_template_is_a_sentence(notify: Callable[..., Ending]) -> None:
    ending = notify("email,name\nann@example.org,Ann\n", "--template=nothing.txt")

    assert ending.status == 2
    assert "There is no template 'nothing.txt'" in ending.said


def test_refused_rows_can_be_kept_corrected_and_sent_again(notify: Callable[..., Ending], tmp_path: Path) -> None:
    rejects = tmp_path / "refused.csv"
    dry(notify, "email;name\nann@example.org;Ann\nben@;Bén\ncat@example.org;Cat;3\n", f"--rejects={rejects}")
    kept = rejects.read_text(encoding="utf-8-sig")

    again = dry(notify, kept.replace("ben@;", "ben@example.org;"))

    assert list(csv.reader(io.StringIO(kept), delimiter=";"))[1][2:] == ["ben@", "Bén"]
    assert "To: ben@example.org\nSubject: Hello Bén" in again.said
    assert "Would send 1, refused 1." in again.said


@pytest.mark.parametrize("value", ["=1+2", "+49 170", "-12.50", "@cmd", "'=x", "\t=1", "plain"])
def test_a_refused_cell_is_no_formula_and_reads_as_it_was(
    notify: Callable[..., Ending], tmp_path: Path, value: str
) -> None:
    rejects = tmp_path / "refused.csv"
    dry(notify, f'email,name\nben@,"{value}"\n', f"--rejects={rejects}")
    kept = rejects.read_text(encoding="utf-8-sig")
    (cell,) = list(csv.reader(io.StringIO(kept)))[1][3:]

    again = dry(notify, kept.replace("ben@,", "ben@example.org,"))

    assert cell.lstrip()[0] not in "=+-@"
    assert f"Subject: Hello {value.strip()}\n" in again.said


def test_refused_rows_of_an_earlier_run_are_kept_too(notify: Callable[..., Ending], tmp_path: Path) -> None:
    rows = "email,name\nben@,Ben\nann@example.org,Ann\n"
    notify(rows)

    notify(rows, f"--rejects={tmp_path / 'refused.csv'}")

    assert "\n2,\"'ben@' is no e-mail address" in (tmp_path / "refused.csv").read_text()


def test_refused_rows_never_overwrite_what_is_read(notify: Callable[..., Ending], tmp_path: Path) -> None:
    content = "email,name\nann@,Ann\n"

    ending = notify(content, f"--rejects={tmp_path / 'list.csv'}")

    assert (ending.status, (tmp_path / "list.csv").read_text()) == (2, content)


def test_many_refused_rows_do_not_flood_the_terminal(notify: Callable[..., Ending]) -> None:
    ending = dry(notify, "email,name\nann@example.org,Ann\n" + "nobody@,x\n" * 50, "--category=news")

    assert "… and 30 more; --rejects FILE would list them all." in ending.said


def test_where_nothing_can_be_sent_the_status_says_so(notify: Callable[..., Ending]) -> None:
    assert dry(notify, "email,name\nann@,Ann\n").status == 2


def test_rows_above_the_given_line_count_as_sent(notify: Callable[..., Ending]) -> None:
    content = "email,name\nann@example.org,Ann\nben@example.org,Ben\nann@example.org,Ann\n"

    ending = dry(notify, content, "--from-line=3")

    assert "To: ben@example.org" in ending.said
    assert "Line 4: ann@example.org is in line 2 already.\nWould send 1, refused 1." in ending.said


def test_an_absent_broker_holds_nothing_up(notify: Callable[..., Ending], absent_broker: None) -> None:
    notify("email,name\nann@,Ann\n\nben@example.org,Ben\ncat@example.org,Cat\n")

    assert written_to() == ["ben@example.org", "cat@example.org"]


def test_the_examples_in_the_documentation_work(settings: Settings) -> None:
    folder, said = settings.BASE_DIR / "docs" / "examples", io.StringIO()
    files = [f"--csv={folder / 'recipients.csv'}", f"--template={folder / 'reminder.txt'}"]

    call_command("notify", *files, "--subject=Your account, {{ name }}", "--dry-run", stdout=said)

    assert "Subject: Your account, Ann\n\nHello Ann,\n\n12.50 euros are still open." in said.getvalue()
    assert "Would send 2, refused 0." in said.getvalue()
