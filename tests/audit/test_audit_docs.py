"""Every event name and every field of a line stands in docs/audit-log.md."""

from pathlib import Path

from retraind.events import EVENTS

DOCS = (Path(__file__).parents[2] / "docs" / "audit-log.md").read_text()


def test_every_event_is_documented_with_its_meaning():
    missing = [name for name, meaning in EVENTS.items() if f"| `{name}` | {meaning} |" not in DOCS]
    assert missing == []


def test_every_field_of_a_line_is_documented():
    fields = ("schema", "seq", "time", "event", "model", "job", "actor", "data", "prev", "hash")
    assert [field for field in fields if f"`{field}`" not in DOCS] == []
