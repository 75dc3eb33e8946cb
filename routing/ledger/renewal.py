"""Renewal: a task's message under new ids, its own and those of all that is still to follow it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery.utils import uuid
from celery.utils.saferepr import saferepr

from routing.ledger import typed
from routing.ledger.tables import DeadLetter
from routing.options import PROPERTIES

REPLAY_HEADER = "taskyard_replay_of"
"""The id of the task that this one replays."""
LONGEST_REPR = 1024
_IDS = ("task_id", "group_id", "root_id", "parent_id")
_OF_THE_JOURNEY = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-", "taskyard_")


class NotATask(ValueError):
    """There is nothing in it that a worker could run."""


@dataclass(frozen=True)
class Membership:
    """A chord that waits for a member: ``options`` are those of a link of a chain, or None for the task itself."""

    group_id: str
    member_id: str
    options: dict[str, Any] | None


@dataclass
class Renewal:
    """``ids``: old to new, of the task first. ``memberships`` are of chords that began before it."""

    task: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    arguments: list[Any]
    embed: dict[str, Any]
    ids: dict[str, str]
    memberships: list[Membership] = field(default_factory=list)

    @property
    def id(self) -> str:
        return next(iter(self.ids.values()))

    @property
    def body(self) -> str:
        return json.dumps([*self.arguments, self.embed])

    def leave(self, membership: Membership) -> None:
        """It is no member any more: that chord is over."""
        if membership.options is None:
            self.embed["chord"] = None
            self.headers |= {"group": None, "group_index": None}
        else:
            for name in ("chord", "group_id", "group_index"):
                membership.options.pop(name, None)

    def id_in(self, membership: Membership) -> str:
        """What the member is called now."""
        return self.ids[membership.member_id]


def renew(letter: DeadLetter) -> Renewal:
    """Raises NotATask."""
    arguments, embed = _parts(letter)
    headers, properties = _headers(letter), _properties(letter)
    # One that has no id of its own gets one; nothing then refers to the old.
    old = letter.task_id or uuid()
    links = [link for name in ("callbacks", "errbacks", "chain") for link in embed.get(name) or ()]
    followers = [each for link in links for each in _signatures(link)]
    ids = {old: uuid()}
    for follower in followers:
        if task_id := _options(follower).get("task_id"):
            ids.setdefault(str(task_id), uuid())
    renewal = Renewal(letter.task, headers, properties, arguments, embed, ids)
    renewal.memberships = list(_memberships(renewal, old, followers))
    for follower in followers:
        _rename(_options(follower), _IDS, ids)
    headers |= {
        "id": renewal.id,
        "task": letter.task,
        "root_id": headers.get("root_id") or renewal.id,
        "retries": 0,
        "eta": None,
        "expires": None,
        REPLAY_HEADER: letter.task_id,
    }
    _rename(headers, ("root_id", "parent_id"), ids)
    properties["correlation_id"] = renewal.id
    return renewal


def change_arguments(renewal: Renewal, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Also where its headers tell them to whoever looks at a worker or a log."""
    renewal.arguments = [args, kwargs]
    for name, value in (("argsrepr", args), ("kwargsrepr", kwargs)):
        if name in renewal.headers:
            renewal.headers[name] = saferepr(value, LONGEST_REPR)


def arguments_of(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]]:
    """Those that its task was called with. Raises NotATask."""
    (args, kwargs), _ = _parts(letter)
    return args, kwargs


def _parts(letter: DeadLetter) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments; and what follows."""
    try:
        args, kwargs, embed = json.loads(letter.content)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotATask from error
    embed = {} if embed is None else embed
    if not letter.task or not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict)):
        raise NotATask
    return [args, kwargs], embed


def _headers(letter: DeadLetter) -> dict[str, Any]:
    """Those of the task, in words that JSON has. Other programs' ids may be numbers."""
    headers = _mapping(typed.plain(letter.headers) if letter.source else json.loads(letter.headers))
    headers |= {name: typed.task_id(headers[name]) for name in ("root_id", "parent_id") if name in headers}
    return {name: value for name, value in headers.items() if not name.startswith(_OF_THE_JOURNEY)}


def _properties(letter: DeadLetter) -> dict[str, Any]:
    """Not a time-to-live, a user or whatever else the relay may not send."""
    properties = _mapping(typed.plain(letter.properties) if letter.source else json.loads(letter.properties))
    return {name: properties[name] for name in PROPERTIES if properties.get(name) is not None}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _signatures(value: Any) -> Iterator[dict[str, Any]]:
    """A signature, and those that it is made of or that follow it; but not what an argument of a task may look like."""
    if isinstance(value, list):
        for each in value:
            yield from _signatures(each)
    elif isinstance(value, dict) and isinstance(value.get("task"), str):
        yield value
        if value["task"].startswith("celery."):
            yield from _signatures(value.get("args"))
            yield from _signatures(list(_mapping(value.get("kwargs")).values()))
        options = _options(value)
        yield from _signatures([options[name] for name in ("link", "link_error", "chain") if options.get(name)])


def _options(signature: Mapping[str, Any]) -> dict[str, Any]:
    return _mapping(signature.get("options"))


def _memberships(renewal: Renewal, own_id: str, followers: list[dict[str, Any]]) -> Iterator[Membership]:
    if (group_id := renewal.headers.get("group")) and renewal.embed.get("chord"):
        yield Membership(str(group_id), own_id, None)
    for options in map(_options, followers):
        group_id, member_id = options.get("group_id"), options.get("task_id")
        # A group that is part of what follows begins anew, under a new id.
        if options.get("chord") and group_id and member_id and group_id not in renewal.ids:
            yield Membership(str(group_id), str(member_id), options)


def _rename(holder: dict[str, Any], names: tuple[str, ...], ids: Mapping[str, str]) -> None:
    for name in names:
        if holder.get(name) in ids:
            holder[name] = ids[holder[name]]
