"""The notifications domain's part of the HTTP API."""

from ninja import Router

from notifications import api_emails, api_reading, api_sending, api_suppressing

router = Router()
for part in (api_sending, api_reading, api_suppressing, api_emails):
    router.add_router("", part.router)
