"""Measurements kept on disk, because the same model on the same hardware takes the same time.

One JSON file per measurement below `$COEDGE_CACHE_DIR`, else `$XDG_CACHE_HOME/coedge_ros`, else `~/.cache/coedge_ros`.
A file that cannot be read, or is of something else, is as good as none. Nothing here ever fails: what cannot be kept is
measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_FILES = 500  # models with random weights have a new digest each time


def cache_folder() -> Path:
    """Where measurements are kept."""
    if own := os.environ.get("COEDGE_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coedge_ros"


def hardware() -> str:
    """Processor model, a digest of what its cores can do, and the cores that this process may use."""
    lines: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            lines.setdefault(name.strip(), value.strip())
    model = lines.get("model name") or lines.get("CPU part") or os.uname().machine
    flags = lines.get("flags") or lines.get("Features") or ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {hashlib.sha256(flags.encode()).hexdigest()[:12]}, {cores} cores"


@dataclass(frozen=True, slots=True)
class Key:
    """What a measurement depends on.

    Attributes
    ----------
    what : str
        What was measured: `speed` of one worker, or `stages` of workers that were measured together.
    digest, height, width
        Of the model.
    device, torch : str
        Device, and version of torch.
    threads : tuple of int
        Of each worker that was measured together.
    hardware : str
        See `hardware`.
    """

    what: str
    digest: str
    height: int
    width: int
    device: str
    torch: str
    threads: tuple[int, ...]
    hardware: str

    @property
    def file(self) -> Path:
        """File of this measurement."""
        text = json.dumps(asdict(self), sort_keys=True)
        return cache_folder() / f"{self.what}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def read(self) -> Any:
        """What was kept; None when there is nothing, or nothing that can be used."""
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            same = kept["key"] == json.loads(json.dumps(asdict(self)))
            return kept["measured"] if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, measured: Any) -> None:
        """Write a measurement; whoever reads at the same time sees the old file or the new one."""
        folder = self.file.parent
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _make_room(folder)
            with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False, encoding="utf-8") as file:
                json.dump({"key": asdict(self), "measured": measured}, file)
            os.replace(file.name, self.file)


def _make_room(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - MOST_FILES + 1)]:
        path.unlink(missing_ok=True)
