"""What the outputs of a model mean: classes, a map of classes, detections, or nothing but tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from coedge_ros.errors import UserError
from coedge_ros.graph.detection import DECODER, Detection
from coedge_ros.graph.loading import LoadedModel
from coedge_ros.nodes.answers import best_classes
from coedge_ros.nodes.parameters import Parameter

AUTO, CLASSIFICATION, SEGMENTATION, DETECTION, RAW = "auto", "classification", "segmentation", "detection", "raw"
MOST_LABELS = 256  # classes that a mono8 image can tell apart
MAIN_OUTPUT = "out"  # where segmentation models of torchvision have their answer, beside others
Outputs = dict[str, torch.Tensor]

TASK_PARAMETERS = (
    Parameter(
        "task",
        AUTO,
        "What answers are made of the outputs; auto: what the model gives.",
        choices=(AUTO, CLASSIFICATION, SEGMENTATION, DETECTION, RAW),
        read_only=True,
    ),
    Parameter("classes", 5, "Best classes in a result.", "", 0, 1000),
    Parameter("detection_threshold", 0.9, "Least score of a detection.", "", 0.0, 1.0),
    Parameter("overlay_opacity", 0.5, "Opacity of the colours over the picture, on ~/overlay.", "", 0.0, 1.0),
)


class TaskHeads:
    """Makes answers of outputs.

    Parameters
    ----------
    loaded : LoadedModel
        For its labels, its decoder and, where it is the zoo's, its task.
    values : dict
        `TASK_PARAMETERS`, followed as they change.
    say : callable
        Takes an error for people, as often as it happens.

    Attributes
    ----------
    detects : bool
        Whether there are detections of every frame, be it none.

    Raises
    ------
    UserError
        If detections are asked for of a model that has no decoder.
    """

    def __init__(self, loaded: LoadedModel, values: dict[str, Any], say: Callable[[str], None] = lambda text: None):
        self._loaded, self._values, self._say = loaded, values, say
        task = values.get("task", AUTO)
        if task == DETECTION and loaded.decoder is None:
            raise UserError(
                f"parameter task is detection, but {loaded.spec} has no method {DECODER} that makes detections of its "
                "outputs: give it one (docs/bring_your_own_model.md), or choose another task"
            )
        self.detects = loaded.decoder is not None and task in (AUTO, DETECTION)
        self._classifies = task == CLASSIFICATION or (task == AUTO and not self.detects)
        is_segmenter = loaded.task in (None, "segmentation")
        self._segments = task == SEGMENTATION or (task == AUTO and not self.detects and is_segmenter)
        self._takes_any = task == CLASSIFICATION  # of several outputs

    def classes(self, outputs: Outputs) -> list[tuple[int, str, float]]:
        """`(id, label, probability)` of the best classes, see `best_classes`.

        Of several outputs the first vector of scores is taken where the task says so, and none where it is `auto`.
        """
        if not self._classifies:
            return []
        if self._takes_any:
            outputs = dict([(name, tensor) for name, tensor in outputs.items() if tensor.ndim == 2][:1])
        return best_classes(outputs, self._loaded.labels, self._values["classes"])

    def detections(self, outputs: Outputs, size: tuple[int, int], source: tuple[int, int]) -> list[Detection]:
        """Detections in pixels of the camera's image, best first.

        Parameters
        ----------
        outputs : dict
            Of the model, by name.
        size, source : tuple of int
            (H, W) of the model's input, and of the camera's image.
        """
        if not self.detects:
            return []
        across, down = source[1] / size[1], source[0] / size[0]
        try:
            found = self._loaded.decoder(outputs, size, self._values["detection_threshold"])
            return [one.scaled(across, down) for one in found]
        except Exception as error:  # the user's decoder may fail in any way; the frame has its answer all the same
            self._say(f"{self._loaded.spec}.{DECODER} failed: {type(error).__name__}: {error}")
            return []

    def label_map(self, outputs: Outputs) -> np.ndarray | None:
        """(h, w) uint8, the class of each position of the model's map; None where there is no such map.

        It is made of scores (1, K, h, w) with K from 2 to 256, or is (1, h, w) or (1, 1, h, w) of whole numbers. Of
        several outputs it is the one called `out`, else the first.
        """
        if not self._segments or not outputs:
            return None
        scores = outputs.get(MAIN_OUTPUT, next(iter(outputs.values())))
        if scores.shape[0] != 1:
            return None
        if scores.ndim == 4 and scores.is_floating_point() and 2 <= scores.shape[1] <= MOST_LABELS:
            return scores[0].argmax(0).to(torch.uint8).numpy()
        if scores.is_floating_point() or scores.ndim not in (3, 4) or (scores.ndim == 4 and scores.shape[1] != 1):
            return None
        labels = scores.reshape(scores.shape[-2:]).to(torch.int64)
        if labels.numel() and (labels.min() < 0 or labels.max() >= MOST_LABELS):
            self._say(f"labels {int(labels.min())} to {int(labels.max())} do not fit into mono8: none are published")
            return None
        return labels.to(torch.uint8).numpy()
