"""The zoo is what the papers say: sizes, work, answers, and the same function as other people's implementations."""

from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest
import torch
from architectures.table import ARCHITECTURES
from support.torchvision_zoo import torchvision_models, why_absent
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from coedge_ros.errors import ModelError
from coedge_ros.graph.example_data import imagenet_class_names, photo
from coedge_ros.graph.faces import pyramid_sizes
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.rescale import rescale_to_unit_variance
from coedge_ros.graph.zoo.registry import zoo_entry, zoo_names

torch.set_num_threads(1)

# Parameters, and multiply-accumulates / 1e9 at the entry's input size, as published with the paper or by the authors
# of torchvision. Where our net differs from the published one on purpose, and for nets of our own, the number is ours.
_SIZES = {
    "alexnet": (60_965_224, 0.724),
    "vgg_f": (60_834_536, 0.724),
    "vgg11": (132_863_336, 7.609),
    "vgg16": (138_357_544, 15.470),
    "googlenet": (6_998_552, 1.583),
    "inception_v3": (23_834_568, 5.713),
    "resnet18": (11_689_512, 1.814),
    "resnet50": (25_557_032, 4.089),
    "resnext50_32x4d": (25_028_904, 4.230),
    "wide_resnet50_2": (68_883_240, 11.398),
    "densenet121": (7_978_856, 2.834),
    "squeezenet1_0": (1_248_424, 0.819),
    "squeezenet1_1": (1_235_496, 0.349),
    "mobilenet_v1": (4_231_976, 0.569),
    "mobilenet_v2": (3_504_872, 0.301),
    "mobilenet_v3_large": (5_483_032, 0.217),
    "mnasnet1_0": (4_383_312, 0.314),
    "shufflenet_v2_x1_0": (2_278_604, 0.145),
    "efficientnet_b0": (5_288_548, 0.386),
    "efficientnet_lite0": (4_652_008, 0.385),
    "regnet_x_400mf": (5_495_976, 0.414),
    "regnet_y_400mf": (4_344_144, 0.402),
    "convnext_tiny": (28_589_128, 4.456),
    "unet": (7_763_074, 12.073),  # half the paper's width
    "unet_bilinear": (7_849_634, 13.952),
    "fcn_resnet50": (32_957_013, 26.484),
    "deeplab_v3_resnet50": (39_638_869, 31.311),
    "lraspp_mobilenet_v3": (3_221_538, 0.379),
    "fpn_resnet18": (13_783_616, 4.367),
    "yolo_pan": (7_235_389, 3.472),
    "mtcnn_pnet": (6_632, 0.081),
    "espcn": (31_131, 1.556),
}
# Those that torchvision has as well. Not AlexNet and GoogLeNet, where ours follow the first papers: AlexNet with its
# groups and its norm, GoogLeNet with its norm instead of batch norm and with 5x5 kernels.
_THEIRS = {name: name for name in _SIZES if name not in ("alexnet", "googlenet")} | {
    "deeplab_v3_resnet50": "deeplabv3_resnet50",
    "lraspp_mobilenet_v3": "lraspp_mobilenet_v3_large",
}
for _name in (
    "vgg_f",
    "mobilenet_v1",
    "efficientnet_lite0",
    "unet",
    "unet_bilinear",
    "fpn_resnet18",
    "yolo_pan",
    "mtcnn_pnet",
    "espcn",
):
    del _THEIRS[_name]


def _on_meta(name, size):
    """Return the module and its answer, without values."""
    with torch.device("meta"), torch.no_grad():
        module = zoo_entry(name).factory().eval()
        return module, module(torch.empty(1, 3, *size))


@pytest.mark.parametrize("name", zoo_names())
def test_parameters_and_work_are_as_published(name):
    with FlopCounterMode(display=False) as counter:
        module, _ = _on_meta(name, zoo_entry(name).input_size)
    parameters, gigamacs = _SIZES[name]
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(gigamacs, abs=6e-4)


@pytest.mark.parametrize("name", zoo_names())
def test_the_answer_has_the_shape_that_the_task_promises(name):
    entry = zoo_entry(name)
    for height, width in [entry.input_size] if entry.fixed_input else [entry.input_size, (231, 317)]:
        _, answer = _on_meta(name, (height, width))
        if entry.task == "classification":
            assert answer.shape == (1, entry.classes)
        elif entry.task == "segmentation":
            assert answer.shape == (1, entry.classes, height, width)
        elif entry.task == "super_resolution":
            assert answer.shape == (1, 3, 3 * height, 3 * width)
        elif entry.task == "features":
            strides = {f"p{level}": 2**level for level in (2, 3, 4, 5)}
            sizes = {key: (1, 256, -(-height // step), -(-width // step)) for key, step in strides.items()}
            assert {key: tuple(value.shape) for key, value in answer.items()} == sizes
        elif name == "mtcnn_pnet":
            positions = [[-(-(n - 2) // 2) - 4 for n in level] for level in pyramid_sizes(height, width, 24)]
            assert [tuple(value.shape) for value in answer.values()] == [(1, 5, *size) for size in positions]
        else:
            channels = 3 * (5 + entry.classes)
            sizes = [(1, channels, -(-height // step), -(-width // step)) for step in (8, 16, 32)]
            assert [tuple(value.shape) for value in answer] == sizes


@pytest.mark.parametrize("name", [name for name in zoo_names() if zoo_entry(name).fixed_input])
def test_a_fixed_input_is_declared_where_no_other_size_works(name):
    with pytest.raises(RuntimeError, match="must have same reduction dim|shapes cannot be multiplied"):
        _on_meta(name, (256, 256))


@pytest.mark.skipif(bool(why_absent()), reason=why_absent())
@pytest.mark.parametrize("name", _THEIRS)
def test_the_answer_is_that_of_torchvision_with_its_weights(name):
    theirs = {model.name: model for model in torchvision_models()}
    size = zoo_entry(name).input_size if zoo_entry(name).fixed_input else (97, 131)
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    other = rescale_to_unit_variance(theirs[_THEIRS[name]].build(), x)
    weights = [v for k, v in other.state_dict().items() if not k.startswith(("AuxLogits", "aux_classifier"))]
    module = zoo_entry(name).factory().eval()
    keys = list(module.state_dict())
    assert len(keys) == len(weights)
    module.load_state_dict(dict(zip(keys, weights, strict=True)))
    with torch.no_grad():
        expected = other(x)
        expected = expected["out"] if isinstance(expected, dict) else expected
        assert expected.std() > 0.1
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def _zoo_and_further():
    for name in zoo_names():
        entry = zoo_entry(name)
        yield pytest.param(entry.factory, entry.input_size if entry.fixed_input else (159, 133), id=name)
    for architecture in ARCHITECTURES:
        yield pytest.param(architecture.factory, architecture.size(159, 133), id=architecture.name)


@pytest.mark.parametrize(("factory", "size"), list(_zoo_and_further()))
def test_rescaled_weights_show_one_wrong_row_and_hide_no_rounding(factory, size):
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = rescale_to_unit_variance(factory().eval(), x)
    wrong = x.clone()
    wrong[:, :, 70] = x[:, :, 69]
    with torch.no_grad():
        answers, changed = tree_leaves(module(x)), tree_leaves(module(wrong))
        exact = tree_leaves(module.double()(x.double()))
    for answer, other, truth in zip(answers, changed, exact, strict=True):
        scale = float(truth.abs().max())
        assert 0.1 < float(answer.std()) < 10
        assert float((answer - truth).abs().max()) < 2e-5 * scale
        assert float((answer - other).abs().max()) > 5e-4 * scale


def _probabilities(model, name):
    pixels = cv2.cvtColor(cv2.imread(str(photo(name))), cv2.COLOR_BGR2RGB)
    pixels = cv2.resize(pixels, (224, 224)).astype(np.float32) / 255
    x = torch.from_numpy((pixels - np.float32(model.mean)) / np.float32(model.std)).permute(2, 0, 1)[None]
    with torch.no_grad():
        return model.module(x).softmax(1)[0]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("mobilenet_v2", {"chelsea.png": 0.726, "coffee.png": 0.990, "motorcycle_left.png": 0.634}),
        ("efficientnet_lite0", {"chelsea.png": 0.785, "coffee.png": 0.917, "motorcycle_left.png": 0.573}),
    ],
)
def test_packaged_imagenet_weights_recognise_the_photos(model, expected):
    labels = {"chelsea.png": "Egyptian cat", "coffee.png": "espresso", "motorcycle_left.png": "moped"}
    loaded = load_model(model, weights="imagenet")
    for name, probability in expected.items():
        found = _probabilities(loaded, name)
        assert loaded.labels[int(found.argmax())] == labels[name]
        assert float(found.max()) == pytest.approx(probability, abs=0.02)  # picture and resize decoders differ a little


def test_class_names_are_the_first_synonyms_in_score_order():
    names = imagenet_class_names()
    assert len(names) == 1000
    assert (names[0], names[285], names[665], names[967], names[999]) == (
        "tench",
        "Egyptian cat",
        "moped",
        "espresso",
        "toilet tissue",
    )


@pytest.mark.parametrize(("typed", "meant"), [("resnet-18", "resnet18"), ("MobileNetV2", "mobilenet_v2")])
def test_an_unknown_name_is_answered_with_near_ones(typed, meant):
    with pytest.raises(ModelError, match=rf"no model is called '{typed}'.*{meant}"):
        zoo_entry(typed)


def test_a_name_like_no_other_is_answered_with_all_of_them():
    with pytest.raises(ModelError, match=r"known models: alexnet, .*espcn"):
        zoo_entry("qqqq")


def test_entries_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        zoo_entry("resnet18").classes = 10
