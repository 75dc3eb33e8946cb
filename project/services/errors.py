"""The one error of everything that the project needs running around it."""


class ServiceError(Exception):
    """A service cannot be used; the message tells the cure."""
