"""The reference pages are what the code says now."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = CHECKOUT / "docs" / "reference"


def reference(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, CHECKOUT / "scripts" / "reference.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_the_committed_pages_are_what_the_generator_writes_now():
    done = reference("--check")
    assert done.returncode == 0, done.stderr + "run .venv/bin/python scripts/reference.py"


def test_a_page_that_differs_and_one_that_is_missing_are_named(tmp_path):
    (tmp_path / "topics.md").write_text((PAGES / "topics.md").read_text())
    (tmp_path / "parameters.md").write_text((PAGES / "parameters.md").read_text().replace("deadline_s", "deadline"))
    done = reference("--check", "--folder", tmp_path)
    assert done.returncode == 1
    assert "parameters.md" in done.stderr and "messages.md" in done.stderr and "topics.md" not in done.stderr


def test_every_topic_has_a_type_and_a_partner():
    rows = [line.split(" | ") for line in (PAGES / "topics.md").read_text().splitlines() if line.startswith("| `")]
    assert len(rows) >= 13
    for row in rows:
        assert "/" in row[1], row
        assert (row[2] + row[3]).strip("| "), row
