"""One search for tasks, finished or in flight: a small language, what it asks of the tables, and pages by keyset."""
