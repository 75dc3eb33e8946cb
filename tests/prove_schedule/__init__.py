"""The proof of the schedule: real beats under attack, moved clocks, and Debian's cron, beside Celery's own beat."""
