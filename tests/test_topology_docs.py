"""docs/topology.md says what the code declares."""

from pathlib import Path

from django.core.management import call_command

from routing.broker import topology_table
from routing.domains import registry

DOCS = Path(__file__).resolve().parent.parent / "docs" / "topology.md"


def test_the_documented_tables_are_those_of_the_code() -> None:
    assert topology_table.markdown(registry()) in DOCS.read_text()


def test_every_declared_queue_has_a_row() -> None:
    listed = {row.queue for row in topology_table.rows(registry())}

    assert listed >= set(registry().pools) | {"taskyard.unrouted", "notifications.dead"}


def test_the_command_prints_them(capsys: object) -> None:
    call_command("topology", "show")

    assert "| `notifications.urgent` |" in capsys.readouterr().out  # type: ignore[attr-defined]
