"""How each gate stands, for people: its limit, who waits, and whether its host is down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from notifications.pacing import circuit, gate_rows, limits
from notifications.pacing.limits import Limit
from notifications.pacing.tables import Gate
from routing.console.number_words import grouped
from routing.console.time_words import since
from routing.ledger import database
from routing.watching import Told


@dataclass(frozen=True)
class Waiting:
    """The line of one lane."""

    lane: str
    count: int
    """About so many: some of its places may be taken by others."""
    until: datetime

    @property
    def words(self) -> str:
        told = _("%(count)s in %(lane)s until %(until)s")
        return told % {"count": grouped(self.count), "lane": self.lane, "until": clock(self.until)}


@dataclass(frozen=True)
class Standing:
    name: str
    limit: Limit | None
    down_since: datetime | None = None
    probe_at: datetime | None = None
    is_probing: bool = False
    error: str = ""
    failures: int = 0
    lines: Sequence[Waiting] = ()

    @property
    def sentence(self) -> str:
        """What is wrong and what to do; empty where nothing is."""
        if self.down_since is None:
            return ""
        told = (
            _(
                "%(name)s has been down since %(since)s and is being tried now; what waits for it is kept. %(error)s. "
                "To try at once: manage.py limits --try-now %(name)s"
            )
            if self.is_probing
            else _(
                "%(name)s has been down since %(since)s and is tried again at %(at)s; what waits for it is kept. "
                "%(error)s. To try at once: manage.py limits --try-now %(name)s"
            )
        )
        moments = {"since": clock(self.down_since), "at": clock(self.probe_at)}
        return told % {"name": self.name, **moments, "error": self.error.rstrip(".")}

    @property
    def public(self) -> str:
        return _("%(name)s is down.") % {"name": self.name}

    @property
    def waiting_words(self) -> str:
        return ", ".join(line.words for line in self.lines)


def standings(names: Sequence[str] = ()) -> list[Standing]:
    """All gates, those included that nothing has passed yet; or those of these names."""
    now = gate_rows.now()
    rows = {gate.name: gate for gate in _gates().prefetch_related("lines")}
    return [_standing(name, rows.get(name), now) for name in names or sorted({*rows, *expected()})]


def told() -> list[Told]:
    """For the start page, the status and the probe."""
    down = [_standing(gate.name, gate, 0.0) for gate in _gates().filter(opened_at__isnull=False).order_by("name")]
    return [Told(one.name, _lazily(one, "sentence"), _lazily(one, "public")) for one in down]


def expected() -> set[str]:
    """The gates of the declared limits, and of the hosts that settings name."""
    # Channels bring smtplib, and whoever only sends nothing of this.
    from notifications import channels
    from notifications.lanes import lanes

    named = {(one.name, host) for one in channels.all_of_them() for lane in lanes() for host in one.hosts(lane=lane)}
    return {*limits.all_of_them(), *(limits.host_gate(channel, host) for channel, host in named)}


def clock(at: datetime | None) -> str:
    if at is None:
        return "-"
    local = timezone.localtime(at)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else since(at)


def _lazily(one: Standing, name: str) -> str:
    """In the language of whoever reads it, and not of the thread that looked."""
    said: str = lazy(getattr, str)(one, name)
    return said


def _gates() -> QuerySet[Gate]:
    return Gate.objects.using(database.using())


def _standing(name: str, gate: Gate | None, now: float) -> Standing:
    limit = limits.all_of_them().get(name)
    if gate is None:
        return Standing(name, limit)
    is_open = gate.opened_at is not None
    first, every = max(now, gate.probe_at), limit.every if limit else circuit.RETURN_EVERY
    ends = ((line.lane, line.end_at) for line in sorted(gate.lines.all(), key=lambda line: line.lane)) if now else ()
    return Standing(
        name=name,
        limit=limit,
        down_since=gate.opened_at,
        probe_at=_moment(gate.probe_at) if is_open else None,
        is_probing=is_open and gate.is_probing,
        error=gate.error,
        failures=gate.failures,
        lines=[Waiting(lane, round((end - first) / every), _moment(end)) for lane, end in ends if end - first > every],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
