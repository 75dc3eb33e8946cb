"""Programs that are told by HTTP: endpoints with their secrets, and requests that go nowhere but there."""
