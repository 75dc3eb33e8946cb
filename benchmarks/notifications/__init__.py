"""E-mail beside a loop of Django's ``send_mail`` and a stock Celery task per mail: ``make bench-notifications``."""
