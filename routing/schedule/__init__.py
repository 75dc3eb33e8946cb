"""When tasks run by themselves: beat and what it has fired."""

from routing.schedule.presence import last_beat

__all__ = ["last_beat"]
