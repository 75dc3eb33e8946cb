"""The tasks of the notifications domain: doors, with the rooms elsewhere."""
