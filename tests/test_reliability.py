"""What the documentation promises, some test holds."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_promise_names_tests_that_are_there():
    rows = [
        row
        for row in (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
        if row.startswith("|") and not row.startswith(("| kind", "|---"))
    ]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, f"no test holds {row}"
        for path, test in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {test}(" in text, f"{path} has no {test}"
