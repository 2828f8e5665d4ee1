"""Workers that compute on a CUDA device: rows go in and out through pinned host memory, once per stage.

The channels, the inbox and everything else know tensors in host memory only. A stage on a device takes what has arrived
over, runs, and brings what it sends back: copies are queued behind the kernels on the device's stream, which is waited
for once, before anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from coedge_ros.errors import UserError
from coedge_ros.graph.lower import CPU

if TYPE_CHECKING:
    from coedge_ros.execution.program import Send, StageProgram, Values


def device_of(name: str) -> torch.device:
    """The device of a parameter: `cpu`, `cuda` or `cuda:1`; CUDA is made to compute float32 as exactly as the CPU does.

    Raises
    ------
    UserError
        When there is none of that name here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"parameter device is {name!r}: write cpu, cuda or cuda:0")
    if device.type == "cpu":
        return CPU
    if not torch.cuda.is_available():
        why = "sees no GPU" if torch.version.cuda else "was built without CUDA: install a build of torch that has it"
        raise UserError(f"parameter device is {name!r}, and torch {torch.__version__} {why}; or use cpu")
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise UserError(f"parameter device is {name!r}, and this host has {count} CUDA devices, numbered from 0")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda", device.index or 0)


def wait_for_device(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


class DeviceStage:
    """A stage of a worker's program that computes on a device, between tensors in host memory."""

    def __init__(self, stage: StageProgram, device: torch.device):
        self.stage, self.device = stage, device
        self.sends = tuple(_Brought(item) for item in stage.sends)

    def __getattr__(self, name: str):
        return getattr(self.stage, name)

    def run(self, values: Values, arrived: dict[int, torch.Tensor]) -> int:
        """Compute the stage in place; returns the multiply-accumulates that were executed."""
        macs = self.stage.run(values, {i: self._taken(arrived[i]) for i in self.stage.receives})
        for item in self.sends:
            values[item.key] = self._brought(item.send.wire(values))
        wait_for_device(self.device)
        return macs

    def _taken(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()  # torch keeps these buffers, and hands them out again when copies are done
        return tensor.to(self.device, non_blocking=True)

    def _brought(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.type != "cuda":
            return tensor
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor, non_blocking=True)


@dataclass(frozen=True, slots=True)
class _Brought:
    """A send whose rows are in host memory when its stage has run."""

    send: Send

    @property
    def key(self) -> str:
        """Where the stage leaves them."""
        return f"{self.send.transfer.index}#wire"

    @property
    def transfer(self):
        return self.send.transfer

    @property
    def receiver(self) -> str:
        return self.send.receiver

    def wire(self, values: Values) -> torch.Tensor:
        """The tensor in wire order."""
        return values.pop(self.key)
