"""A model under construction as Python source: it prints itself, and a line that torch refuses is left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

_MAX_ROWS, _MAX_CHANNELS, _MAX_VALUES = 48, 24, 16_000


@dataclass
class Source:
    """A model under construction: lines of `__init__` and of `forward`, and its maps so far."""

    height: int
    width: int
    layers: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    maps: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.maps = {"x": torch.randn(1, 3, self.height, self.width)}
        self.modules = nn.Module()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.maps[name].shape)

    def layer(self, text: str) -> str:
        """Add a layer and return how it is called."""
        name = f"m{len(self.layers)}"
        setattr(self.modules, name, eval(text, {"nn": nn, "torch": torch}))
        self.layers.append(f"self.{name} = {text}")
        return f"self.{name}"

    def add(self, expression: str, count: int = 1) -> bool:
        """Add a line that makes `count` maps, if it makes sense."""
        names = [f"t{len(self.maps) + i}" for i in range(count)]
        scope = {"self": self.modules.eval(), "torch": torch, "F": F, **self.maps}
        try:
            with torch.no_grad():
                made = eval(expression, scope)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
            return False
        made = [made] if count == 1 else list(made)
        if not all(self._is_map(m) for m in made):
            return False
        self.maps |= dict(zip(names, made, strict=True))
        self.lines.append(f"{', '.join(names)} = {expression}")
        return True

    @staticmethod
    def _is_map(m: torch.Tensor) -> bool:
        if m.ndim != 4 or not m.isfinite().all() or m.std(correction=0) < 1e-3:
            return False
        _, channels, height, width = m.shape
        return 0 < height <= _MAX_ROWS and width > 0 and 0 < channels <= _MAX_CHANNELS and m.numel() <= _MAX_VALUES

    def __str__(self) -> str:
        body = "\n        ".join(["super().__init__()", *self.layers])
        outputs = ", ".join(self.outputs)
        steps = "\n        ".join([*self.lines, f"return {outputs}"])
        return (
            "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
            f"class Net(nn.Module):  # for a frame of {self.height}x{self.width}\n"
            f"    def __init__(self):\n        {body}\n\n    def forward(self, x):\n        {steps}\n"
        )

    def build(self) -> nn.Module:
        """The module that the source defines."""
        scope: dict = {"__name__": "random_graph"}
        exec(str(self), scope)
        return scope["Net"]().eval()
