"""All tasks of a stretch of time, finished or not, in one list: so that a sum of both has a page with its rows."""
