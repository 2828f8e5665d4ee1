"""Starting and ending the processes of a cluster where ROS's `launch` is not installed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from coedge_ros.nodes.composition import ProcessSpec, dds_environment

GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


class ProcessGroup:
    """Child processes that end together: use it as a context manager.

    Parameters
    ----------
    environment : dict of str to str, optional
        Variables on top of this process's own and the package's DDS profile.
    output : path, optional
        Folder for one log file per process; None lets them write to this process's standard error.
    log_level : str
        ROS log level of all of them.
    """

    def __init__(self, environment: dict[str, str] | None = None, output: Path | None = None, log_level: str = "info"):
        self.environment = {**os.environ, **dds_environment(), "PYTHONSAFEPATH": "1", **(environment or {})}
        self.output, self.log_level = output, log_level
        self.children: dict[str, subprocess.Popen] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="coedge_")
        self._die_with_parent = _die_with_parent()

    def start(self, specs: Iterable[ProcessSpec]) -> None:
        """Start processes, each in a session of its own, so that Ctrl-C reaches them through us, once.

        A process of a name that has been started before is added to the same log.
        """
        for spec in specs:
            log = None
            if self.output is not None:
                self.output.mkdir(parents=True, exist_ok=True)
                log = open(self.log_of(spec.name), "ab" if spec.name in self.children else "wb")  # noqa: SIM115
            try:
                self.children[spec.name] = subprocess.Popen(
                    self._command(spec), env=self.environment | spec.environment, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._die_with_parent,
                )  # fmt: skip
            finally:
                if log is not None:
                    log.close()  # the child has it

    def log_of(self, name: str) -> Path:
        """Log file of a process."""
        return self.output / f"{name}.log"

    def code_of(self, spec: ProcessSpec) -> str:
        """Python code that runs a process; as in the executables, imports are not looked through for garbage."""
        imports = f"from coedge_ros.nodes.{spec.executable} import main"
        return f"import gc, sys; gc.disable(); {imports}; gc.freeze(); gc.enable(); sys.exit(main())"

    def _command(self, spec: ProcessSpec) -> list[str]:
        path = Path(self._folder.name) / f"{spec.name}.yaml"
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in spec.parameters.items()}
        path.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
        remaps = [("__node", spec.name), ("__ns", "/" + spec.namespace.strip("/")), *spec.remappings]
        if not spec.namespace.strip("/"):
            remaps = [r for r in remaps if r[0] != "__ns"]
        arguments = [part for a, b in remaps for part in ("-r", f"{a}:={b}")]
        command = [sys.executable, "-c", self.code_of(spec)]
        enclave = ["--enclave", spec.enclave] if spec.enclave else []
        return [*command, "--ros-args", *arguments, *enclave, "--params-file", str(path), "--log-level", self.log_level]

    def ended(self) -> dict[str, int]:
        """Exit codes of those that have ended; negative for the signal that ended it."""
        return {name: code for name, child in self.children.items() if (code := child.poll()) is not None}

    def stop(self, grace_s: float = GRACE_S) -> None:
        """End all: interrupt, and after the grace period kill. A second Ctrl-C kills at once."""
        try:
            for child in self.children.values():
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
            deadline = time.monotonic() + grace_s
            for child in self.children.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for child in self.children.values():
                if child.poll() is None:
                    child.kill()
                    child.wait()

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(self, *exception) -> None:
        try:
            self.stop()
        finally:
            self._folder.cleanup()


def _die_with_parent():
    """What a child runs before its program: ask to be interrupted when this process dies; None where none can."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it has died already
            os._exit(1)

    return ask
