"""Which Apprise URLs may be used: chat and push over HTTPS, each read in Apprise's source and seen to go no other way.

Apprise has more than a hundred schemes. Those that run programs, write files or speak another protocol are not here, as
nothing could hold them to their time or keep them out of private networks; nor those for e-mail and SMS, which would
reach people whose choices and suppressions nobody had asked for; nor json:// and its like, which are for webhooks.
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from notifications.problems import InvalidNotification, Problem
from notifications.webhooks import places
from routing.masking import MASK

MAX_URL = 2000
LONG = 6
"""From here on a part of a URL is taken for a secret; a shorter one, such as ``yes``, is part of too much else."""
_REFUSED = {
    "template": gettext_noop("would read a file of the worker; use a template of the admin"),
    "verify": gettext_noop(
        "is not for you to choose: certificates are always checked, by SSL_CERT_FILE where that is set"
    ),
}


@dataclass(frozen=True)
class Service:
    """Where Apprise has it. Of one that is hosted by its users, the URL names the host."""

    title: str
    module: str
    kind: str
    schemes: tuple[str, ...]
    is_hosted: bool = False
    refused_mode: str = ""
    """One in which it makes another request after the one that counts."""

    def twin(self, scheme: str) -> str:
        """The scheme that is encrypted."""
        return self.schemes[-1] if self.is_hosted else scheme


def _cloud(title: str, module: str, kind: str, *schemes: str) -> Service:
    return Service(title, module, kind, schemes)


def _hosted(title: str, module: str, kind: str, scheme: str, *, refused_mode: str = "") -> Service:
    return Service(title, module, kind, (scheme, f"{scheme}s"), is_hosted=True, refused_mode=refused_mode)


SERVICES = (
    _cloud("DingTalk", "dingtalk", "NotifyDingTalk", "dingtalk"),
    _cloud("Discord", "discord", "NotifyDiscord", "discord"),
    _cloud("Feishu", "feishu", "NotifyFeishu", "feishu"),
    _cloud("Google Chat", "google_chat", "NotifyGoogleChat", "gchat"),
    _cloud("Lark", "lark", "NotifyLark", "lark"),
    _cloud("LINE", "line", "NotifyLine", "line"),
    _cloud("Microsoft Teams", "workflows", "NotifyWorkflows", "workflow", "workflows"),
    _cloud("Prowl", "prowl", "NotifyProwl", "prowl"),
    _cloud("Pushbullet", "pushbullet", "NotifyPushBullet", "pbul"),
    _cloud("Pushover", "pushover", "NotifyPushover", "pover"),
    _cloud("Slack", "slack", "NotifySlack", "slack"),
    _cloud("Telegram", "telegram", "NotifyTelegram", "tgram"),
    _cloud("Webex", "webexteams", "NotifyWebexTeams", "webex", "wxteams"),
    _cloud("WeCom", "wecombot", "NotifyWeComBot", "wecombot"),
    _cloud("Zulip", "zulip", "NotifyZulip", "zulip"),
    _hosted("Bark", "bark", "NotifyBark", "bark"),
    _hosted("Gotify", "gotify", "NotifyGotify", "gotify"),
    _hosted("Mattermost", "mattermost", "NotifyMattermost", "mmost"),
    _hosted("Nextcloud Talk", "nextcloudtalk", "NotifyNextcloudTalk", "nctalk"),
    _hosted("ntfy", "ntfy", "NotifyNtfy", "ntfy"),
    _hosted("PushDeer", "pushdeer", "NotifyPushDeer", "pushdeer"),
    _hosted("Rocket.Chat", "rocketchat", "NotifyRocketChat", "rocket", refused_mode="basic"),
    _hosted("Synology Chat", "synology", "NotifySynology", "synology"),
)
BY_SCHEME = {scheme: service for service in SERVICES for scheme in service.schemes}


@dataclass(frozen=True)
class Written:
    """What of a URL may be shown, and what has a limit and a circuit of its own."""

    scheme: str
    host: str


def read(url: str) -> Written:
    """Raises InvalidNotification, which tells the cure and quotes nothing that may be secret."""
    if problem := _problem(url):
        raise InvalidNotification([Problem("url", problem)])
    scheme, host = _taken_apart(url)
    return Written(scheme, host or scheme)


def shown(scheme: str, host: str) -> str:
    return f"{scheme}://{MASK}" if host == scheme else f"{scheme}://{host}/{MASK}"


def secrets(url: str) -> list[str]:
    """All parts of it by which somebody could write there, as they are written and as they are meant."""
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    hosts = [] if _taken_apart(url)[1] else [parts.netloc.rpartition("@")[2]]
    query = [value for _, value in parse_qsl(parts.query, keep_blank_values=True)]
    found = [part for part in (user, *hosts, *parts.path.split("/"), *query, parts.fragment) if len(part) >= LONG]
    return [url, *{meaning for part in (*found, password) if part for meaning in (part, unquote(part))}]


def _problem(url: str) -> str:
    if not url.isprintable() or " " in url or not 0 < len(url) <= MAX_URL:
        told = _("has to be an Apprise URL of up to %(most)d characters, without blanks, such as slack://…")
        return told % {"most": MAX_URL}
    scheme, colon, _rest = url.partition("://")
    service = BY_SCHEME.get(scheme.lower())
    if not colon or service is None:
        return _("has to begin with one of %(names)s.") % {"names": ", ".join(f"{one}://" for one in sorted(BY_SCHEME))}
    try:
        parts = urlsplit(url)
        options = {name.casefold() for name, _value in parse_qsl(parts.query, keep_blank_values=True)}
        _port = parts.port if service.is_hosted else None
    except ValueError:
        return _("has a host or port that cannot be read; write %(example)s") % {"example": f"{scheme}://host:port/…"}
    if _hides_its_host(parts, service):
        told = _("has a / before its @; write that one as %%2F: %(example)s.")
        return told % {"example": f"{scheme}://…%2F…@host"}
    if not parts.netloc:
        told = _("has nothing after %(scheme)s://; see Apprise's page on %(service)s for what belongs there.")
        return told % {"scheme": scheme, "service": service.title}
    if refused := sorted(options & set(_REFUSED)):
        return _("has ?%(option)s=, which %(why)s.") % {"option": refused[0], "why": _(_REFUSED[refused[0]])}
    return _problem_of_host(*_taken_apart(url), service)


def _hides_its_host(parts: SplitResult, service: Service) -> bool:
    """Whether it goes on where a user name, a password or a token has a ``/``, and part of that would be its host."""
    if not service.is_hosted or "@" in parts.netloc:
        return False
    return any("@" in part[1:] for part in parts.path.split("/"))


def _problem_of_host(scheme: str, host: str, service: Service) -> str:
    """What can be told without a look-up; the address is judged for each request."""
    if not host:
        return ""
    if scheme != service.twin(scheme) and not settings.NOTIFICATIONS_WEBHOOK_NETWORKS:
        told = _("is not encrypted; use %(twin)s://. %(scheme)s:// is for networks that %(setting)s names.")
        return told % {"twin": service.twin(scheme), "scheme": scheme, "setting": places.SETTING}
    try:
        places.read(f"{'https' if scheme == service.twin(scheme) else 'http'}://{host}/")
    except (places.Unusable, places.Closed) as error:
        return _("cannot be used: %(why)s") % {"why": error}
    return ""


def _taken_apart(url: str) -> tuple[str, str]:
    """The scheme, and the host with its port where the URL names one; ntfy and PushDeer have a cloud, too."""
    parts = urlsplit(url)
    service = BY_SCHEME[parts.scheme]
    has_host = service.is_hosted and parts.path.strip("/") != "" and "mode=cloud" not in parts.query.casefold()
    if service.module == "rocketchat":
        has_host = True
    if not has_host or not parts.hostname:
        return parts.scheme, ""
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = 443 if parts.scheme == service.twin(parts.scheme) else 80
    return parts.scheme, f"{name}:{usual if parts.port is None else parts.port}"
