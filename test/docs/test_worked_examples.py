"""The examples of the documentation do what it says: its blocks are run as they stand, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own_model.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def _run(command: list[str], folder: Path) -> str:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_blocks_run_and_print_what_the_page_says(tmp_path):
    printed, kinds = "", []
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        kinds.append(kind)
        named = re.match(r"# (\w+\.py)\n", text)
        if kind == "python" and named:
            (tmp_path / named[1]).write_text(text)
        elif kind == "python":
            _run([sys.executable, "-c", text], tmp_path)
        elif kind == "sh":
            printed = _run(["bash", "-euc", text], tmp_path)
        else:
            assert kind == "text"
            missing = [line for line in text.splitlines() if line not in printed]
            assert not missing, f"{missing} not in:\n{printed}"
            assert "NOT EQUAL" not in printed
    assert kinds.count("sh") == kinds.count("text") == 4 and kinds.count("python") == 7
