"""The tags and filters that templates may use; for each other one of Django's, why not."""

from django.template import Library
from django.template.defaultfilters import register as django_filters
from django.template.defaulttags import register as django_tags

from notifications.templating import bounds, moments

TAGS = (
    *("comment", "cycle", "firstof", "for", "if", "ifchanged", "regroup", "resetcycle", "spaceless", "templatetag"),
    *("verbatim", "widthratio", "with"),
)
FILTERS = (
    *("add", "capfirst", "cut", "date", "default", "default_if_none", "dictsort", "dictsortreversed", "divisibleby"),
    *("filesizeformat", "first", "floatformat", "get_digit", "iriencode", "join", "last", "length", "linebreaks"),
    *("linebreaksbr", "lower", "make_list", "phone2numeric", "pluralize", "slice", "slugify", "striptags", "time"),
    *("title", "truncatechars", "truncatewords", "unordered_list", "upper", "urlencode", "wordcount", "wordwrap"),
    "yesno",
)

_ALWAYS = "values are escaped always and once"
_NO_FILES = "a template reads no other one"
_WEB = "it belongs to pages of the web"
_CLOCK = "shown again later, the message would differ from the one that was sent; give it as a value"
_LONG = "it makes a text of any length"
_ACTIVE = "it writes scripts, which no mail reader runs"

REFUSED_TAGS = {
    **dict.fromkeys(("block", "extends", "include"), _NO_FILES),
    **dict.fromkeys(("csrf_token", "querystring"), _WEB),
    "autoescape": _ALWAYS,
    "debug": "it shows the inside of the program",
    "filter": "it changes what is escaped already; use the filter on the variable itself",
    "load": "it runs code that this list does not know",
    "lorem": _LONG,
    "now": _CLOCK,
    "url": "the program's own addresses are not a template's business; give the link as a value",
}
REFUSED_FILTERS = {
    **dict.fromkeys(("escape", "escapeseq", "force_escape"), f"{_ALWAYS}; leave it out"),
    **dict.fromkeys(("safe", "safeseq"), "it turns escaping off, and whoever chose the value writes into the message"),
    **dict.fromkeys(("escapejs", "json_script"), _ACTIVE),
    **dict.fromkeys(("center", "ljust", "rjust", "stringformat"), _LONG),
    **dict.fromkeys(("timesince", "timeuntil"), _CLOCK),
    **dict.fromkeys(("truncatechars_html", "truncatewords_html"), "values are text and hold no HTML"),
    **dict.fromkeys(("urlize", "urlizetrunc"), "it makes links, in our name, of whatever stands in the value"),
    "addslashes": "each use doubles what it added before, to any length",
    "linenumbers": "it is for listings",
    "pprint": "it shows the inside of the program",
    "random": "shown again later, the message would differ from the one that was sent",
}

register = Library()
for _name in TAGS:
    register.tag(_name, django_tags.tags[_name])
for _name in FILTERS:
    register.filters[_name] = django_filters.filters[_name]

# What could outgrow all bounds is counted, and times are read from the text that JSON makes of them.
register.tag("for", bounds.for_tag)
register.filter("add", bounds.add)
register.filter("floatformat", bounds.floatformat, is_safe=True)
register.filter("join", bounds.join, is_safe=True, needs_autoescape=True)
register.filter("date", moments.date)
register.filter("time", moments.time)
