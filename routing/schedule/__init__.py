"""When tasks run by themselves: each due time of an entry once, by any number of beats."""

from routing.schedule.presence import last_beat

__all__ = ["last_beat"]
