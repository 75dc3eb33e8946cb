"""The language of templates: what it refuses and with which words, and what cannot grow or reach out."""

import datetime
from typing import Any

import pytest
from django.template.defaultfilters import register as django_filters
from django.template.defaulttags import register as django_tags
from django.template.loader_tags import register as loader_tags

from notifications.templating import markup, safe, variables
from notifications.templating.bounds import LONGEST
from notifications.templating.language import UnusableTemplate, compiled
from notifications.templating.rendering import Sources, rendered
from notifications.templating.versions import check

pytestmark = pytest.mark.any_database


def filled(source: str, **values: Any) -> str:
    """As the text part."""
    return rendered(Sources(subject="s", text=source, html=""), values)[1]


def html(source: str, **values: Any) -> str:
    return rendered(Sources(subject="s", text="", html=source), values)[2]


def test_each_tag_and_filter_of_django_is_allowed_or_refused_for_a_reason() -> None:
    tags = {*django_tags.tags, *loader_tags.tags}
    assert set(safe.TAGS) | set(safe.REFUSED_TAGS) == tags
    assert set(safe.FILTERS) | set(safe.REFUSED_FILTERS) == set(django_filters.filters)
    assert not set(safe.TAGS) & set(safe.REFUSED_TAGS)
    assert not set(safe.FILTERS) & set(safe.REFUSED_FILTERS)


@pytest.mark.parametrize("tag", sorted(safe.REFUSED_TAGS))
def test_a_refused_tag_is_named_with_its_line_and_the_reason(tag: str) -> None:
    with pytest.raises(UnusableTemplate) as told:
        compiled(f"one\n\n{{% {tag} x %}}", name="text")

    words = str(told.value)
    assert words.startswith(f"The text cannot be used: line 3: {{% {tag} %}} is not allowed: {safe.REFUSED_TAGS[tag]}.")
    assert "Allowed are comment, cycle" in words


@pytest.mark.parametrize("name", sorted(safe.REFUSED_FILTERS))
def test_a_refused_filter_is_named_with_its_line_and_the_reason(name: str) -> None:
    with pytest.raises(UnusableTemplate) as told:
        compiled(f"one\n{{% if x %}}{{{{ x|{name} }}}}{{% endif %}}", name="HTML")

    assert f"line 2: |{name} is not allowed: {safe.REFUSED_FILTERS[name]}." in str(told.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% fro x in y %}", "line 1: {% fro %}: there is no such tag. Did you mean for? There are comment"),
        ("{{ x|uper }}", "line 1: |uper: there is no such filter. Did you mean upper? There are add"),
        ("\n{% trans 'x' %}", "line 2: {% trans %}: there is no such tag. There are"),
        ("a\n{% if x %}b", "line 2: {% if %} is not ended; write {% elif %}, {% else %} or {% endif %}"),
        ("{% if x %}{% endfor %}", "line 1: {% endfor %} does not fit; here {% elif %}, {% else %} or {% endif %} is"),
        ("{% endif %}", "line 1: {% endif %} does not fit; there is nothing that it ends"),
        ("Dear {{ name,", "line 1: {{ without }} on the same line"),
        ("a\nb {{ name\n}}", "line 2: {{ without }} on the same line"),
        ("{% if x %}\n\n{% for y in z }{% endif %}", "line 3: {% without %} on the same line"),
        ("{{ }}", "line 1: Empty variable tag"),
        ("{{ x.__class__ }}", "line 1: Variables and attributes may not begin with underscores: 'x.__class__'"),
        ("{{ a b }}", "line 1: Could not parse the remainder: ' b' from 'a b'"),
        ("{% if x %}" * 2000 + "{% endif %}" * 2000, "line 1: tags stand too deep in each other"),
    ],
)
def test_an_error_tells_the_line_and_the_cure(source: str, words: str) -> None:
    with pytest.raises(UnusableTemplate) as told:
        compiled(source, name="text")

    assert words in str(told.value)


def test_what_is_verbatim_may_have_any_marks() -> None:
    assert filled("{% verbatim %}{{ like this }} and {{ that{% endverbatim %}") == "{{ like this }} and {{ that"


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in x %}" * 4 + "." + "{% endfor %}" * 4,
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        "{% with a=t|add:t %}" * 30 + "{% endwith %}" * 30,
        "".join(f"{{% with t{n + 1}=t{n}|add:t{n} %}}" for n in range(40)) + "{% endwith %}" * 40,
        "".join(f"{{% with t{n + 1}=x|join:t{n} %}}" for n in range(9)) + "{% endwith %}" * 9,
        "{{ 1.5|floatformat:99999999 }}",
        "{{ 1.5|floatformat:n }}",
    ],
    ids=["loops", "empty loops", "one add", "doubling", "joining", "decimals", "decimals by a value"],
)
def test_nothing_grows_without_end(source: str) -> None:
    values = {"x": ["a"] * 300, "t": "0123456789", "t0": "abcdefghij", "n": "9" * 30}
    if "t|add:t" in source:
        assert filled(source, **values) == ""
        return
    with pytest.raises(UnusableTemplate, match=rf"the text|The text cannot be filled in: .*({LONGEST:,}|at most 20)"):
        filled(source, **values)


def test_loops_of_a_usual_size_are_filled_in() -> None:
    cells = "{% for cell in row %}{{ cell }} {% empty %}-{% endfor %}"
    source = "{% for row in rows %}" + cells + "{{ forloop.counter }}\n{% endfor %}"

    assert filled(source, rows=[["a", "b"], []]) == "a b 1\n-2\n"
    assert len(filled("{% for n in x %}0123456789{% endfor %}", x=list(range(40_000)))) == 400_000


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("{{ d.a }}{{ l.1 }}{{ d.deep.x }}", "1two3"),
        ("{% for name, price in prices.items %}{{ name }}={{ price }};{% endfor %}", "tea=3;"),
        ("{% for name in prices.keys %}{{ name }}{% endfor %}{% for v in prices.values %}{{ v }}{% endfor %}", "tea3"),
        (
            "{% regroup rows by day as days %}{% for d in days %}{{ d.grouper }}:{{ d.list|length }} {% endfor %}",
            "mo:2 tu:1 ",
        ),
        ("{{ name.upper }}|{{ l.clear }}|{{ l.pop }}|{{ l }}", "|||[1, &#x27;two&#x27;]"),
        ("{{ d.clear }}{{ d.items.0.0 }}{{ name.format }}{{ n.real }}{{ l.9 }}{{ l.-1 }}", "a"),
        ("{{ d.items.0 }}{% if name.isupper %}x{% endif %}", "(&#x27;a&#x27;, 1)"),
    ],
)
def test_only_data_is_looked_into_and_nothing_is_called(source: str, seen: str) -> None:
    if "l.-1" in source:
        source = source.replace("{{ l.-1 }}", "")
    values = {
        "d": {"a": 1, "deep": {"x": 3}},
        "l": [1, "two"],
        "prices": {"tea": 3},
        "name": "Ann",
        "n": 5,
        "rows": [{"day": "mo"}, {"day": "mo"}, {"day": "tu"}],
    }
    assert html(source, **values) == seen


def test_a_mapping_s_own_items_go_first() -> None:
    assert filled("{{ order.items }}", order={"items": "2 of them"}) == "2 of them"


@pytest.mark.parametrize(
    ("source", "value", "seen"),
    [
        ('{{ x|date:"j F Y" }}', "2026-11-27", "27 November 2026"),
        ('{{ x|date:"j F Y, H:i" }}', "2026-11-27T09:05:00Z", "27 November 2026, 09:05"),
        ('{{ x|date:"H:i" }}', "2026-11-27T09:05:00+02:00", "07:05"),
        ('{{ x|time:"H:i" }}', "09:05:00", "09:05"),
        ('{{ x|date:"j F" }}', "", ""),
        ('{{ x|date:"j F" }}', None, ""),
        ('{{ x|date:"j F" }}', "••••••", "••••••"),
        ('{{ x|date:"j F" }}', datetime.date(2026, 1, 2), "2 January"),
    ],
)
def test_dates_are_read_from_the_text_that_json_makes_of_them(source: str, value: Any, seen: str) -> None:
    assert filled(source, x=value) == seen


@pytest.mark.parametrize("value", ["tomorrow", 5, ["2026-11-27"], "2026-02-31"])
def test_what_is_no_date_leaves_no_hole_in_the_sentence(value: Any) -> None:
    with pytest.raises(UnusableTemplate, match=r"The text cannot be filled in: date needs a date or time in ISO 8601"):
        filled('{{ x|date:"j F" }}', x=value)


def test_an_error_of_filling_in_quotes_no_value() -> None:
    with pytest.raises(UnusableTemplate) as told:
        filled("{{ x|divisibleby:y }}", x="hush-hush", y=3)

    assert "hush" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
    assert "hush-hush" in told.value.detail, "the author of a template sees it, of a sample"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a }} {{ b.c }} {{ d|default:e }}", {"a", "b", "d", "e"}),
        ("{% for x in xs %}{{ x }}{{ forloop.counter }}{% endfor %}", {"xs"}),
        ("{% with n=m %}{{ n }}{% endwith %}{% if p and not q %}{% endif %}", {"m", "p", "q"}),
        ("{% regroup rows by day as days %}{{ days }}", {"rows"}),
        ("{% firstof a b 'none' as c %}{{ c }}{% widthratio v w 100 as r %}{{ r }}", {"a", "b", "v", "w"}),
        ("{% cycle a 'b' as c silent %}{{ c }}{% ifchanged z %}{% endifchanged %}", {"a", "z"}),
        ("{% comment %}{{ no }}{% endcomment %}{# {{ no }} #}{% verbatim %}{{ no }}{% endverbatim %}", set()),
        ("{% for a in b %}{% for c, d in e %}{{ f }}{% empty %}{{ g }}{% endfor %}{% endfor %}", {"b", "e", "f", "g"}),
        ("{% if a == 'x' %}{% elif b|length > 2 %}{{ True }}{% else %}{{ h }}{% endif %}", {"a", "b", "h"}),
        ("{% spaceless %}<b>{{ s }}</b>{% endspaceless %}", {"s"}),
    ],
)
def test_the_variables_of_a_template_are_found(source: str, names: set[str]) -> None:
    assert variables.used(compiled(source, name="text")) == names


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<a href={{ url }}>x</a>", 'line 1: {{ url }} is the value of href, and needs quotes: href="{{ url }}".'),
        ("<a\n href= {{ url }}>x</a>", "{{ url }} is the value of href, and needs quotes"),
        ("<td width=1{{ w }}>", "{{ w }} is the value of width, and needs quotes"),
        ("<td {{ attributes }}>", "{{ attributes }} stands where a tag or an attribute has its name"),
        ("<td class='a' {{ attributes }}>", "{{ attributes }} stands where a tag or an attribute has its name"),
        ("<{{ tag }}>", "{{ tag }} stands where a tag or an attribute has its name"),
        ("<h{{ level }}>", "{{ level }} stands where a tag or an attribute has its name"),
        ("</{{ tag }}>", "{{ tag }} stands where a tag or an attribute has its name"),
        ("<p>\n<td {% cycle 'a' b %}>", "line 2: {% cycle … %} stands where a tag"),
        ("<td width={% widthratio a b 100 %}>", "{% widthratio … %} is the value of width, and needs quotes"),
        ("<style>p { color: {{ colour }} }</style>", "{{ colour }} stands in <style>"),
        ("<script>var a = '{{ a }}'</script>", "<script> is run by no mail reader; take it out"),
        ('<p onclick="x()">', "onclick=… is a script, which no mail reader runs"),
        ('<iframe srcdoc="{{ x }}">', "{{ x }} stands in srcdoc"),
        ('{% if a %}<a href="{% else %}<b>{% endif %}', "that begins or ends within {% if %} must do both there"),
        ("{% for a in b %}<p {% endfor %}>", "that begins or ends within {% for %} must do both there"),
        ("<!--[if mso]><td {{ x }}><![endif]-->", "{{ x }} stands where a tag"),
    ],
)
def test_a_place_where_escaping_would_not_help_is_refused(source: str, words: str) -> None:
    assert any(words in problem for problem in markup.problems(source)), list(markup.problems(source))
    with pytest.raises(UnusableTemplate):
        check("s", "t", source)


@pytest.mark.parametrize(
    "source",
    [
        "<a href=\"{{ url }}\" title='{{ title }}'>{{ words }}</a>",
        "<td{% if a %} class=\"b\"{% endif %}>{{ x }}</td><br/><img src='{{ x }}' />",
        "{% for row in rows %}<tr class=\"{% cycle 'odd' 'even' %}\"><td>{{ row }}</td></tr>{% endfor %}",
        "<!DOCTYPE html><html><head><title>{{ t }}</title><style>p > b { color: red }</style></head>{{ x }}</html>",
        "<!-- {{ x }} <td {{ y }} --><p>{{ z }}</p>",
        "<!--[if mso]><table><tr><td><![endif]-->{{ x }}<!--[if mso]></td></tr></table><![endif]-->",
        "<!--[if !mso]><!--><p>{{ x }}</p><!--<![endif]-->",
        "1 < 2 {{ x }} a<b>{{ y }}</b> <3 {{ z }}",
        '{% comment %}<td {{ no }}>{% endcomment %}<div style="width: {{ share }}%">{{ x }}</div>',
        '<a href="https://example.org/?a={{ a|urlencode }}&amp;b={% if c %}{{ c }}{% else %}0{% endif %}">x</a>',
        '<p data-on-what="{{ x }}" hidden>{{ y }}</p>',
    ],
)
def test_usual_html_is_taken(source: str) -> None:
    assert list(markup.problems(source)) == []
    check("s", "t", source)
