"""Chat rooms and phones: targets with sealed URLs, messages that Apprise composes, and requests that go our own way."""
