"""Whatever the value: it adds no tag and no attribute to the HTML, and makes no link that runs code."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifications.content import finished
from notifications.templating import links
from notifications.templating.rendering import Sources, UnusableTemplate, rendered
from notifications.templating.versions import check

pytestmark = pytest.mark.any_database

# How long an example takes is the machine's business.
unhurried = settings(deadline=None)

PLACES = (
    "<p>{{ x }}</p>",
    '<a href="{{ x }}">a</a>',
    "<a href='{{ x }}' title='{{ x }}'>{{ x }}</a>",
    '<a href="https://example.org/{{ x|urlencode }}?q={{ x }}">a</a>',
    '<div style="width: {{ x }}">b</div>',
    "<title>{{ x }}</title><!-- {{ x }} --><!--[if mso]>{{ x }}<![endif]--><p>c</p>",
    "<p>{{ x|upper }}{{ x|lower }}{{ x|title }}{{ x|capfirst }}{{ x|slice:':9' }}{{ x|truncatechars:5 }}</p>",
    "<p>{{ x|cut:'&' }}{{ x|cut:';' }}{{ x|striptags }}{{ x|wordwrap:3 }}{{ x|iriencode }}{{ x|slugify }}</p>",
    "<p>{{ x|default:'<i>none</i>' }}{{ x|add:'<b>' }}{{ '<b>'|add:x }}{{ x|add:x }}</p>",
    "<p>{{ '<b>'|cut:x }}{{ '<b title=y>'|slice:x }}{{ '<b>x</b>'|truncatechars:x }}{{ '<b>'|lower|cut:x }}</p>",
    "<p>{% with y=x|linebreaks %}{{ y|slice:':5' }}{{ y|cut:x }}{{ y|truncatechars:7 }}{{ y|upper }}{% endwith %}</p>",
    "<p>{{ x|make_list|join:'<br>' }}{{ x|make_list|first }}{{ x|make_list|last }}{{ x|make_list|join:x }}</p>",
    "<p>{{ x|linebreaks|slice:':8' }}{{ x|linebreaksbr|truncatechars:4 }}{{ x|make_list|unordered_list|cut:'l' }}</p>",
    "<p>{% firstof x 'n' as y %}{{ y|cut:'&' }}{{ y }}{% cycle x 'b' as z %}{{ z|lower }}</p>",
    '<p class="{% firstof x "none" %}">{% for c in x %}{{ c }}{% endfor %}{% ifchanged %}{{ x }}{% endifchanged %}</p>',
    "<p>{{ x|yesno:x }}{{ x|pluralize:x }}{{ x|phone2numeric }}{{ x|wordcount }}{{ x|dictsort:x }}</p>",
    "<p>{{ 'a'|default_if_none:x }}{{ x|default:x }}{{ nothing|default:x }}{{ x|get_digit:1 }}{{ x|length }}</p>",
)
BY_LINES = (
    "<p>{{ x|linebreaks }}{{ x|linebreaksbr }}</p>",
    "<ul>{{ xs|unordered_list }}</ul>",
)
HOSTILE = (
    "<script>",
    "</p>",
    '" onmouseover=alert(1) x="',
    "' onclick='x",
    "-->",
    "]]>",
    "<!--",
    "</title>",
    "&lt;b&gt;",
)
SCHEMES = (
    "javascript:",
    "JaVaScRiPt:",
    "java\tscript:",
    " \x01javascript:",
    "vbscript:",
    "data:text/html,",
    "&#106;avascript:",
)

pieces = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            (*HOSTILE, *SCHEMES, "<", ">", '"', "'", "&", "`", "=", "/", "\0", "\n\n", "\r", "\u2028", "lt;")
        ),
    ),
    max_size=6,
)
texts = pieces.map("".join).filter(lambda text: text.isascii() or "\ud800" not in text)


class Skeleton(HTMLParser):
    """The tags of some HTML, each with the names of its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"/{tag}")


def html(source: str, **values: Any) -> str:
    return rendered(Sources(subject="s", text="", html=source), values)[2]


def skeleton(source: str, **values: Any) -> list[Any]:
    return Skeleton(html(source, **values)).seen


@pytest.mark.parametrize("source", PLACES)
@unhurried
@given(value=texts)
@example(value="<b>")
@example(value="b")
@example(value=":2")
@example(value='"><script>alert(1)</script>')
@example(value="\n\nx\n")
def test_no_value_adds_a_tag_or_an_attribute(source: str, value: str) -> None:
    check("s", "", source)
    usual = list(skeleton(source, x="x"))
    # What the template's author wrote as a default is not the value's.
    written = {("i",), "/i"}
    try:
        seen = skeleton(source, x=value)
    except UnusableTemplate:
        # A filter that was not meant for it: nothing is sent.
        return

    assert [part for part in seen if part not in written | {("br",)}] == [
        part for part in usual if part not in written | {("br",)}
    ]


@pytest.mark.parametrize("source", BY_LINES)
@unhurried
@given(value=texts)
def test_a_filter_that_makes_lines_adds_only_those(source: str, value: str) -> None:
    seen = skeleton(source, x=value, xs=[value, [value]])

    assert set(seen) <= {("p",), "/p", ("br",), ("ul",), "/ul", ("li",), "/li"}


@unhurried
@given(value=texts)
@example(value="javascript:alert(1)")
@example(value="java\nscript:alert(1)")
@example(value="\x01 JAVASCRIPT:alert(1)")
@example(value="data:text/html;base64,PHNjcmlwdD4=")
@example(value="data:image/svg+xml,<svg onload=x>")
def test_no_value_makes_a_link_that_runs_code(value: str) -> None:
    made = html('<a href="{{ x }}">a</a><img src=\'{{ x }}\'><a HREF = "{% if x %}{{ x }}{% endif %}">b</a>', x=value)

    assert links.running(made) == ""


@pytest.mark.parametrize("value", ["javascript:alert(1)", "java\tscript:alert(1)", "vbscript:x", "data:text/html,x"])
def test_a_link_that_would_run_code_leads_nowhere(value: str) -> None:
    assert html('<a href="{{ x }}" class="b">a</a>', x=value) == '<a href="#" class="b">a</a>'
    assert html("<a href='java{{ x }}'>a</a>", x="script:y") == '<a href="#">a</a>'


@pytest.mark.parametrize(
    "value",
    [
        "https://example.org/?a=1&b=javascript:",
        "mailto:ann@example.org",
        "tel:+4930123",
        "/javascript:/x",
        "myapp://order/7",
        "data:image/png;base64,iVBORw0KGgo=",
        "#top",
    ],
)
def test_other_links_stay_as_they_are(value: str) -> None:
    made = html('<a href="{{ x }}">a</a>', x=value)

    assert made == f'<a href="{value.replace("&", "&amp;")}">a</a>'


@unhurried
@given(value=texts)
def test_inlining_css_adds_nothing_of_a_value_either(value: str) -> None:
    source = (
        '<style>p { color: red } a[title] { margin: 0 }</style><p>{{ x }}</p><a title="{{ x }}" href="{{ x }}">a</a>'
    )

    def inlined(value: str) -> list[Any]:
        return Skeleton(finished("s", "t", html(source, x=value)).html).seen

    assert inlined(value) == inlined("x")


@unhurried
@given(value=texts)
def test_text_and_subject_say_the_value_as_it_is(value: str) -> None:
    subject, text, _ = rendered(Sources(subject="Re: {{ x }}", text="{{ x }}!", html=""), {"x": value})

    assert text == f"{value}!"
    assert subject == " ".join(f"Re: {value}".split())
