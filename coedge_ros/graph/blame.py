"""Which line of the user's code an error came from, and torch kept quiet meanwhile: messages of one line."""

from __future__ import annotations

import contextlib
import io
import linecache
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import torch

_OURS = Path(__file__).parent
_TORCH = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def line_of_error(error: BaseException) -> str:
    """`file:line: "code"` of the innermost call in the user's own code; empty when there is none."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        found = _told(file, line) or found
        trace = trace.tb_next
    return found


def line_of_text(text: str) -> str:
    """The same from the text of a traceback."""
    found = ""
    for match in _FRAME.finditer(text):
        found = _told(match["file"], int(match["line"])) or found
    return found


def _told(file: str, line: int) -> str:
    is_ours = Path(file).parent == _OURS or "coedge_ros/execution" in file or "coedge_ros/cli" in file
    if is_ours or file.startswith((_TORCH, "<")):
        return ""
    code = linecache.getline(file, line).strip()
    return f'{file}:{line}: "{code}"' if code else f"{file}:{line}"


def first_line(error: BaseException) -> str:
    """Type and first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the graphs that torch.export prints and logs where it fails; the error says it in a line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
