"""docs/reading_the_plan.md: its files are written, its commands run, and what they print is what it shows."""

import re
import shlex
from pathlib import Path

import pytest

from coedge_ros.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "reading_the_plan.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.timeout(120)
def test_the_commands_print_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    printed, shown = "", 0
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind == "yaml":
            Path(re.match(r"# (\S+)\n", text)[1]).write_text(text)
        elif kind == "sh":
            capsys.readouterr()
            main(shlex.split(text.replace("\\\n", " "), comments=True)[1:])
            printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        else:
            missing = [line for line in text.splitlines() if " ".join(line.split()) not in printed]
            assert not missing, f"{missing} not in:\n" + "\n".join(printed)
            shown += 1
    assert shown
