"""Side by side with stock Celery in one run: ``make bench``, ``make bench-quick``."""
