"""The partition plan: who computes which rows of which stage, as integers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from coedge_ros.rows.split import scale_boundaries, split_by_shares
from coedge_ros.spec.codec import TOLERANCES, Codec
from coedge_ros.spec.graph import ModelGraph


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """Rows per stage and worker.

    Attributes
    ----------
    model_digest : str
        sha256 of the weights that it was made for.
    height, width : int
        Input size that it was made for.
    workers : tuple of str
        Names, in the order of the bands from top to bottom.
    head : str
        Worker that computes what needs the whole map.
    cuts : tuple of int
        Indices of the trunk operators after which a stage ends, ascending.
    boundaries : tuple of tuple of int
        Per stage, `len(workers) + 1` ascending row boundaries on the stage's reference height (`reference_heights`);
        worker i owns rows `[b[i], b[i+1])`. Tensors of the stage with another height use the scaled boundaries.
    codecs : tuple of tuple of Codec
        `codecs[i][j]`: how activations travel from worker i to worker j; empty: as they are, everywhere.
    """

    model_digest: str
    height: int
    width: int
    workers: tuple[str, ...]
    head: str
    cuts: tuple[int, ...]
    boundaries: tuple[tuple[int, ...], ...]
    codecs: tuple[tuple[Codec, ...], ...] = ()

    def __post_init__(self):
        if not self.workers or len(set(self.workers)) != len(self.workers):
            raise ValueError(f"workers must be named, each once: {self.workers}")
        if self.head not in self.workers:
            raise ValueError(f"head {self.head!r} is none of the workers {self.workers}")
        if list(self.cuts) != sorted(set(self.cuts)) or any(c < 0 for c in self.cuts):
            raise ValueError(f"cuts must ascend from 0 or more: {self.cuts}")
        if len(self.boundaries) != len(self.cuts) + 1:
            raise ValueError(f"{len(self.cuts)} cuts make {len(self.cuts) + 1} stages, not {len(self.boundaries)}")
        for row in self.boundaries:
            if len(row) != len(self.workers) + 1 or row[0] != 0 or list(row) != sorted(row) or row[-1] <= 0:
                raise ValueError(f"boundaries must ascend from 0, one more than workers: {row}")
        if self.codecs and [len(row) for row in self.codecs] != [len(self.workers)] * len(self.workers):
            raise ValueError(f"codecs must be one per pair of the {len(self.workers)} workers, or none: {self.codecs}")

    @property
    def stages(self) -> int:
        """Number of trunk stages; the head follows as one more."""
        return len(self.boundaries)

    @property
    def coarsest(self) -> Codec:
        """Coarsest codec of any link."""
        return max((codec for row in self.codecs for codec in row), default=Codec.RAW)

    @property
    def tolerance(self) -> float:
        """How far an answer may be off, in parts of the largest magnitude of the whole model's answer."""
        return TOLERANCES[self.coarsest]

    def codec(self, source: int, target: int) -> Codec:
        """How activations travel from one worker to another."""
        return self.codecs[source][target] if self.codecs else Codec.RAW

    def stage_of(self, operator_index: int) -> int:
        """Stage of a trunk operator; -1 for the input."""
        return -1 if operator_index < 0 else sum(cut < operator_index for cut in self.cuts)

    def owned(self, stage: int, height: int) -> tuple[int, ...]:
        """Boundaries of stage `stage` for a tensor of `height` rows."""
        return scale_boundaries(self.boundaries[stage], height)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PartitionPlan:
        """Inverse of `as_dict`, lists accepted for tuples."""
        return cls(
            **{k: values[k] for k in ("model_digest", "height", "width", "head")},
            workers=tuple(values["workers"]),
            cuts=tuple(values["cuts"]),
            boundaries=tuple(tuple(row) for row in values["boundaries"]),
            codecs=tuple(tuple(map(Codec, row)) for row in values.get("codecs", ())),
        )

    def __str__(self) -> str:
        shares = ", ".join(
            f"{name} {self.boundaries[0][i + 1] - self.boundaries[0][i]}" for i, name in enumerate(self.workers)
        )
        text = f"{self.stages} stages, rows of the first ({self.boundaries[0][-1]}): {shares}; head on {self.head}"
        return text + (f"; rows between workers as {self.coarsest}" if self.coarsest else "")


def reference_heights(graph: ModelGraph, cuts: tuple[int, ...]) -> tuple[int, ...]:
    """Height that each stage's boundaries count in: of the last tensor with rows that it makes, else the input's."""
    heights = []
    start = 0
    for end in (*cuts, graph.trunk_length - 1):
        made = [op.output.height for op in graph.operators[start : end + 1] if op.output.height]
        heights.append(made[-1] if made else graph.input.height)
        start = end + 1
    return tuple(heights)


def plan_from_shares(
    graph: ModelGraph,
    workers: tuple[str, ...],
    shares: list[float] | list[list[float]],
    cuts: tuple[int, ...],
    head: str | None = None,
) -> PartitionPlan:
    """Plan with the same shares in every stage (CoEdge), or one list of shares per stage.

    `head` defaults to the worker with the largest share of the last stage.
    """
    heights = reference_heights(graph, cuts)
    per_stage = shares if isinstance(shares[0], (list, tuple)) else [shares] * len(heights)
    if len(per_stage) != len(heights):
        raise ValueError(f"{len(per_stage)} lists of shares for {len(heights)} stages")
    last = list(per_stage[-1])
    return PartitionPlan(
        model_digest=graph.digest,
        height=graph.input.height,
        width=graph.input.shape[3],
        workers=tuple(workers),
        head=head or workers[last.index(max(last))],
        cuts=tuple(cuts),
        boundaries=tuple(split_by_shares(h, s) for h, s in zip(heights, per_stage, strict=True)),
    )
