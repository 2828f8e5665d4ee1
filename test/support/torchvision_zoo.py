"""torchvision's own models, as unmodified models of a stranger.

There is no CPU build of torchvision beside CPU torch, so its compiled operators (detection's, none of which a
classification or segmentation net uses) do not load. Its Python registers fake versions of them at import, which fails
without their schemas: these are declared here first. The package lies in the folder that COEDGE_TORCHVISION names
(``pip install --no-deps --target FOLDER -r requirements/torchvision.txt``), or is importable.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f, bool g) -> Tensor",
    "qroi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f, bool g) -> Tensor",
    "_roi_align_backward(Tensor a, Tensor b, float c, SymInt d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, "
    "int j, bool k) -> Tensor",
    "ps_roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, int g, SymInt h, SymInt i, "
    "SymInt j, SymInt k) -> Tensor",
    "roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, "
    "SymInt j) -> Tensor",
    "ps_roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, "
    "SymInt j) -> Tensor",
    "deform_conv2d(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, SymInt f, SymInt g, SymInt h, SymInt i, SymInt j, "
    "SymInt k, SymInt l, SymInt m, bool n) -> Tensor",
    "_deform_conv2d_backward(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, SymInt g, SymInt h, SymInt i, "
    "SymInt j, SymInt k, SymInt l, SymInt m, SymInt n, bool o) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)

# No convolutional nets.
_TRANSFORMERS = ("vit_", "swin_", "maxvit")


@dataclass(frozen=True, slots=True)
class TorchvisionModel:
    """One model.

    Attributes
    ----------
    name
        In torchvision.
    build
        Builds it in eval mode, with the same random weights each time.
    sizes
        Image sizes (H, W) to test it at, the one it was made for first.
    parameters
        How many, as published.
    gigamacs
        Multiply-accumulates / 1e9 as published: at the size it was made for (segmentation: 520 pixels).
    """

    name: str
    build: Callable[[], nn.Module]
    sizes: tuple[tuple[int, int], ...]
    parameters: int
    gigamacs: float

    def __str__(self) -> str:
        return self.name


@functools.cache
def why_absent() -> str:
    """Return why torchvision cannot be used here, or an empty string."""
    folder = os.environ.get("COEDGE_TORCHVISION", "")
    if folder and folder not in sys.path:
        sys.path.append(folder)  # at the end: only what no other place has
    if importlib.util.find_spec("torchvision") is None:
        return f"no torchvision in {folder}" if folder else "COEDGE_TORCHVISION names no folder with torchvision"
    return ""


@functools.cache
def _torchvision() -> object:
    """Return the imported package; asserts that it is there (see `why_absent`)."""
    assert not why_absent(), why_absent()
    global _library
    _library = torch.library.Library("torchvision", "FRAGMENT")  # the declarations live as long as this object
    for schema in _SCHEMAS:
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            _library.define(schema)
    return importlib.import_module("torchvision")


def torchvision_models() -> list[TorchvisionModel]:
    """Return all classification and segmentation nets of torchvision that are convolutional; empty if it is absent."""
    if why_absent():
        return []
    models = _torchvision().models
    found = [name for name in models.list_models(models) if not name.startswith(_TRANSFORMERS)]
    found += models.list_models(models.segmentation)
    return [_model(name) for name in sorted(found)]


def _model(name: str) -> TorchvisionModel:
    published = next(iter(_torchvision().models.get_model_weights(name))).meta
    sizes = ((299, 299), (231, 317)) if name == "inception_v3" else ((224, 224), (231, 317))
    return TorchvisionModel(name, functools.partial(_build, name), sizes, published["num_params"], published["_ops"])


def _build(name: str) -> nn.Module:
    options: dict[str, object] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # its truncated normal takes minutes
    models = _torchvision().models
    if name in models.list_models(models.segmentation):
        options["weights_backbone"] = None  # else it would be downloaded
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return models.get_model(name, **options).eval()


def build_vit_b_16() -> nn.Module:
    """A transformer, as a factory that `coedge verify` takes."""
    return _build("vit_b_16")


def build_swin_t() -> nn.Module:
    """Another one."""
    return _build("swin_t")
