"""The tags and filters that templates may use: Django's, but those that read files, run code or turn escaping off."""

from django.template import Library
from django.template.defaultfilters import register as all_filters
from django.template.defaulttags import register as all_tags

TAGS = ("comment", "cycle", "firstof", "for", "if", "ifchanged", "now", "spaceless", "templatetag", "verbatim", "with")
UNSAFE_FILTERS = frozenset({"safe", "safeseq", "escapejs", "force_escape", "escape", "pprint", "random"})

register = Library()
for _name in TAGS:
    register.tag(_name, all_tags.tags[_name])
for _name, _filter in all_filters.filters.items():
    if _name not in UNSAFE_FILTERS:
        register.filters[_name] = _filter
