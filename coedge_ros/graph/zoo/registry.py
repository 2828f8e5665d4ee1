"""The models that have a name: what builds each one, its paper, its input and its packaged weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from coedge_ros.errors import ModelError
from coedge_ros.graph.example_data import (
    EFFICIENTNET_LITE0_IMAGENET,
    MOBILENET_V2_IMAGENET,
    MTCNN_PNET_FACES,
    PackageFile,
)
from coedge_ros.graph.zoo import (
    alexnet,
    convnext,
    densenet,
    efficientnet,
    espcn,
    googlenet,
    inception,
    mobilenet,
    mtcnn,
    pyramid,
    regnet,
    resnet,
    segmentation,
    shufflenet,
    squeezenet,
    unet,
    vgg,
)

TASKS = ("classification", "segmentation", "features", "detection", "super_resolution")
IMAGENET, FACES = "imagenet", "faces"
DATA_SETS = (IMAGENET, FACES)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_ZERO, _HALF, _ONE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
_FACES_STD = (128 / 255,) * 3
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """One model of the zoo.

    Attributes
    ----------
    name
        What the user writes.
    factory
        Builds the module, with random weights; takes normalised float32 (N, 3, H, W). Further keyword arguments,
        such as ``classes``, have defaults.
    paper
        Where the architecture is defined.
    input_size
        (H, W) in pixels that the paper or the packaged weights use.
    fixed_input
        True where the head flattens a map, so that no other H x W is possible.
    mean, std
        Per channel, red green blue, of pixels divided by 255: ``(pixel / 255 - mean) / std`` goes into the module.
    classes
        Number of scores per answer (or per pixel); 0 where the answer is not scores.
    weights
        Trained weights that a package carries, or None.
    trained_on
        What `weights` were trained on: the word that the user writes for them, one of `DATA_SETS`.
    task
        One of `TASKS`.
    """

    name: str
    factory: Callable[..., nn.Module]
    paper: str
    input_size: tuple[int, int] = (224, 224)
    fixed_input: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    classes: int = 1000
    weights: PackageFile | None = None
    trained_on: str = IMAGENET
    task: str = "classification"

    def __post_init__(self) -> None:
        assert self.task in TASKS and self.trained_on in DATA_SETS, self
        assert min(self.input_size) > 0 and min(self.std) > 0, self

    def __str__(self) -> str:
        height, width = self.input_size
        size = f"{height}x{width}{' only' if self.fixed_input else ''}"
        weights = f", weights {self.trained_on}" if self.weights else ""
        return f"{self.name} ({self.task}, {size}{weights}): {self.paper}"


_ENTRIES = (
    ZooEntry("alexnet", alexnet.alexnet, "Krizhevsky et al. 2012", fixed_input=True),
    ZooEntry("vgg_f", alexnet.vgg_f, "Chatfield et al. 2014, CNN-F", fixed_input=True),
    ZooEntry("vgg11", vgg.vgg11, "Simonyan, Zisserman 2015, A"),
    ZooEntry("vgg16", vgg.vgg16, "Simonyan, Zisserman 2015, D"),
    ZooEntry("googlenet", googlenet.googlenet, "Szegedy et al. 2015"),
    ZooEntry("inception_v3", inception.inception_v3, "Szegedy et al. 2016", (299, 299), mean=_HALF, std=_HALF),
    ZooEntry("resnet18", resnet.resnet18, "He et al. 2016"),
    ZooEntry("resnet50", resnet.resnet50, "He et al. 2016"),
    ZooEntry("resnext50_32x4d", resnet.resnext50_32x4d, "Xie et al. 2017"),
    ZooEntry("wide_resnet50_2", resnet.wide_resnet50_2, "Zagoruyko, Komodakis 2016"),
    ZooEntry("densenet121", densenet.densenet121, "Huang et al. 2017"),
    ZooEntry("squeezenet1_0", squeezenet.squeezenet1_0, "Iandola et al. 2016"),
    ZooEntry("squeezenet1_1", squeezenet.squeezenet1_1, "Iandola et al. 2016, version 1.1"),
    ZooEntry("mobilenet_v1", mobilenet.mobilenet_v1, "Howard et al. 2017"),
    ZooEntry("mobilenet_v2", mobilenet.mobilenet_v2, "Sandler et al. 2018", weights=MOBILENET_V2_IMAGENET),
    ZooEntry("mobilenet_v3_large", mobilenet.mobilenet_v3_large, "Howard et al. 2019"),
    ZooEntry("mnasnet1_0", mobilenet.mnasnet1_0, "Tan et al. 2019, B1"),
    ZooEntry("shufflenet_v2_x1_0", shufflenet.shufflenet_v2_x1_0, "Ma et al. 2018"),
    ZooEntry("efficientnet_b0", efficientnet.efficientnet_b0, "Tan, Le 2019"),
    ZooEntry(
        "efficientnet_lite0",
        efficientnet.efficientnet_lite0,
        "Liu 2020, TensorFlow blog",
        mean=_LITE_MEAN,
        std=_LITE_STD,
        weights=EFFICIENTNET_LITE0_IMAGENET,
    ),
    ZooEntry("regnet_x_400mf", regnet.regnet_x_400mf, "Radosavovic et al. 2020"),
    ZooEntry("regnet_y_400mf", regnet.regnet_y_400mf, "Radosavovic et al. 2020"),
    ZooEntry("convnext_tiny", convnext.convnext_tiny, "Liu et al. 2022"),
    ZooEntry("unet", unet.unet, "Ronneberger et al. 2015", (256, 256), classes=2, task="segmentation"),
    ZooEntry(
        "unet_bilinear", unet.unet_bilinear, "Ronneberger et al. 2015", (256, 256), classes=2, task="segmentation"
    ),
    ZooEntry("fcn_resnet50", segmentation.fcn_resnet50, "Long et al. 2015", classes=21, task="segmentation"),
    ZooEntry(
        "deeplab_v3_resnet50", segmentation.deeplab_v3_resnet50, "Chen et al. 2017", classes=21, task="segmentation"
    ),
    ZooEntry(
        "lraspp_mobilenet_v3", segmentation.lraspp_mobilenet_v3, "Howard et al. 2019", classes=21, task="segmentation"
    ),
    ZooEntry("fpn_resnet18", pyramid.fpn_resnet18, "Lin et al. 2017", classes=0, task="features"),
    ZooEntry(
        "yolo_pan",
        pyramid.yolo_pan,
        "Bochkovskiy et al. 2020",
        (416, 416),
        mean=_ZERO,
        std=_ONE,
        classes=80,
        task="detection",
    ),
    ZooEntry(
        "mtcnn_pnet",
        mtcnn.mtcnn_pnet,
        "Zhang et al. 2016, first network",
        (320, 320),
        mean=_HALF,
        std=_FACES_STD,
        classes=1,
        weights=MTCNN_PNET_FACES,
        trained_on=FACES,
        task="detection",
    ),
    ZooEntry("espcn", espcn.espcn, "Shi et al. 2016", mean=_ZERO, std=_ONE, classes=0, task="super_resolution"),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def zoo_names() -> tuple[str, ...]:
    """Return the names of all models of the zoo, in the order of the table."""
    return tuple(_BY_NAME)


def zoo_entry(name: str) -> ZooEntry:
    """Return the model called `name`.

    Raises
    ------
    ModelError
        If there is none; the message lists near matches, or all names.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), _BY_NAME, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"known models: {', '.join(_BY_NAME)}"
    raise ModelError(
        f"no model is called {name!r}: {hint} (a model of your own is written package.module:factory or file.pt2)"
    )
