"""Forms that are saved once have one button to do it with."""

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.mark.parametrize(
    "page",
    ["routing_apitoken", "notifications_suppression", "notifications_endpoint", "notifications_chattarget"],
)
def test_there_is_one_button_to_save(admin_client: Client, page: str) -> None:
    html = admin_client.get(reverse(f"admin:{page}_add")).content.decode()

    assert 'name="_save"' in html
    assert "_addanother" not in html
    assert "_continue" not in html
