"""The page of values is what the record says, and the custom class changes none of them."""

from __future__ import annotations

import json

from tools.pages import values


def test_page_is_written_from_the_record() -> None:
    assert values.PAGE.read_text(encoding="utf-8") == values.render()


def test_custom_class_changes_no_value() -> None:
    rows = json.loads(values.RECORD.read_text(encoding="utf-8"))["rows"]
    assert len(rows) >= 200
    assert [row for row in rows if row[4] not in {"exact", "as base", "refused"}] == []
    assert [row for row in rows if row[2] == "changed"]  # the check can tell
