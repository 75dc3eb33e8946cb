"""What a form in the admin would send as it is shown."""

from typing import Any

from django.test import Client


def shown_by(client: Client, address: str) -> dict[str, Any]:
    form = client.get(address).context["adminform"].form
    return {field.html_name: field.value() or "" for field in form}
