"""A template's versions: which is sent, what it needs to be given, what of that is secret, and how the next is made."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from notifications import content, languages, sealing
from notifications.problems import InvalidNotification, Problem
from notifications.templating import declared, markup, review
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources, UnusableTemplate, compiled
from notifications.templating.tables import Template, TemplateVersion


class InvalidTemplate(InvalidNotification):
    """It cannot be saved as it is; ``problems`` names each field and the cure."""


class Outdated(Exception):
    """Somebody else has saved a version since this one was begun; the message names who, and nothing is lost."""

    def __init__(self, newer: TemplateVersion) -> None:
        told = _(
            "%(who)s has saved version %(number)d meanwhile. Nothing was overwritten. Compare yours with it, and save "
            "again to make yours version %(next)d."
        )
        who = newer.created_by.get_username() if newer.created_by else _("somebody else")
        super().__init__(told % {"who": who, "number": newer.number, "next": newer.number + 1})
        self.newer = newer


def named(name: str) -> TemplateVersion | None:
    """The newest of that template."""
    versions = TemplateVersion.objects.select_related("template").filter(template__name=name)
    return versions.order_by("-number").first()


def newest(name: str) -> TemplateVersion:
    """Raises LookupError."""
    found = named(name)
    if found is None:
        raise LookupError(f"{name!r} is no template; the admin lists them, under Templates.")
    return found


def newest_of(template: Template) -> TemplateVersion | None:
    return template.versions.select_related("created_by").order_by("-number").first()


def save(
    template: Template,
    sources: Sources,
    variables: Sequence[Variable],
    *,
    after: int,
    by: Any = None,
    translations: Mapping[str, Sources] | None = None,
) -> TemplateVersion:
    """The version that comes after number ``after``, which is what its author has seen; 0 for the first.

    Raises InvalidTemplate, and Outdated where somebody else has made that one.
    """
    translations = translations or {}
    if found := review.all_problems(sources, translations, variables):
        raise InvalidTemplate(found)
    version = TemplateVersion(
        template=template,
        number=after + 1,
        subject=sources.subject,
        text=sources.text,
        html=sources.html,
        variables=[variable.stored() for variable in variables],
        translations={language: vars(said) for language, said in translations.items()} or None,
        created_by=by,
    )
    try:
        with transaction.atomic():
            version.save(force_insert=True)
    except IntegrityError:
        newer = newest_of(template)
        if newer is None or newer.number <= after:
            raise
        raise Outdated(newer) from None
    return version


def restore(version: TemplateVersion, *, after: int, by: Any = None) -> TemplateVersion:
    """A new version that says what an old one said. Raises InvalidTemplate and Outdated."""
    said, others = sources_of(version), spoken_translations(version)
    return save(version.template, said, declared_by(version), after=after, by=by, translations=others)


def sources_of(version: TemplateVersion, language: str = "") -> Sources:
    """What is said to whoever reads that language."""
    return Sources(**version.said_in(language))


def translations_of(version: TemplateVersion | None) -> dict[str, Sources]:
    """By language, beside what is said to all others."""
    found = (version.translations if version else None) or {}
    return {language: Sources(**said) for language, said in sorted(found.items())}


def spoken_translations(version: TemplateVersion | None) -> dict[str, Sources]:
    """Those that a next version can have: a language that has left LANGUAGES since would keep it from being saved."""
    others = languages.others()
    return {language: said for language, said in translations_of(version).items() if language in others}


def declared_by(version: TemplateVersion) -> list[Variable]:
    return declared.read(version.variables)


def missing(version: TemplateVersion, values: Mapping[str, Any]) -> list[str]:
    """The variables that it must be given and is not."""
    return sorted(version.required - values.keys())


def masked(values: Mapping[str, Any], secret: Collection[str]) -> dict[str, Any]:
    return sealing.split(values, secret)[0]


def check(subject: str, text: str, html: str) -> None:
    """Raises UnusableTemplate."""
    for name, source in (("subject", subject), ("text", text), ("HTML", html)):
        compiled(source, name=name)
    for words in markup.problems(html):
        raise UnusableTemplate(f"The HTML cannot be used: {words}", part="HTML")


def problems(
    version: TemplateVersion, values: Mapping[str, Any], *, channel: str, sender: str, language: str = ""
) -> list[Problem]:
    """What is wrong with the message that these values make, told to a caller: no value is quoted."""
    try:
        said = content.filled_in(sources_of(version, language), values, language=language)
    except UnusableTemplate as error:
        return [Problem("context", f"does not fit the template: {error}")]
    return list(content.problems(said, channel=channel, sender=sender))
