"""E-mail beside Django and stock Celery, what ``notify_many`` stores, and the pages: ``make bench-notifications``."""
