"""Graphs kept on disk are those that tracing makes; what is broken, of something else or unknown is traced anew."""

import subprocess
import sys
import threading

import pytest
import torch

from coedge_ros.graph import kept_trace, lower, trace_apart
from coedge_ros.graph.ir import Ref
from coedge_ros.graph.kept_trace import keep_trace, read_trace, trace_file
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.trace import PixelInput, trace

MODELS = ("mobilenet_v2", "shufflenet_v2_x1_0", "unet", "convnext_tiny", "googlenet", "espcn")


def as_text(value):
    """Comparable: tensors by what is in them."""
    if isinstance(value, torch.Tensor):
        return (tuple(value.shape), str(value.dtype), value.stride(), value.double().sum().item())
    if isinstance(value, (list, tuple)):
        return type(value)(map(as_text, value))
    return value.name if isinstance(value, Ref) else value


@pytest.mark.parametrize("name", MODELS)
def test_a_kept_graph_is_the_traced_one(name, tmp_path):
    module = PixelInput(load_model(name).module).eval()
    graph = trace(module, 96, 96)
    file = tmp_path / "trace-1.pt"
    keep_trace(file, graph, module)
    assert file.stat().st_size < 400_000  # the weights are not in it
    kept = read_trace(file, module)
    assert kept is not None and len(kept.nodes) == len(graph.nodes) > 5
    for one, other in zip(kept.nodes, graph.nodes, strict=True):
        assert (one.name, one.key, one.shape, one.dtype, one.module_path) == (
            other.name, other.key, other.shape, other.dtype, other.module_path,
        )  # fmt: skip
        assert as_text(one.args) == as_text(other.args) and as_text(tuple(one.kwargs.items())) == as_text(
            tuple(other.kwargs.items())
        )
    assert (kept.input_name, kept.input_shape, kept.outputs, kept.output_names) == (
        graph.input_name, graph.input_shape, graph.outputs, graph.output_names,
    )  # fmt: skip
    frame = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
    for output in graph.outputs:
        assert torch.equal(kept.run(frame)[output], graph.run(frame)[output])


def test_a_process_of_its_own_traces_once_for_all_that_wait(tmp_path, monkeypatch):
    file = tmp_path / "new" / "trace-1.pt"
    started = []
    run = subprocess.run
    monkeypatch.setattr(trace_apart.subprocess, "run", lambda *a, **k: started.append(a) or run(*a, **k))
    waiting = [
        threading.Thread(target=trace_apart.trace_apart, args=(file, "squeezenet1_1", "", (64, 64))) for _ in range(3)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert len(started) == 1
    module = load_model("squeezenet1_1").module
    monkeypatch.setattr(lower, "trace", lambda *a, **k: pytest.fail("traced again"))
    kept = partition_model(module, 64, 64, kept=file)
    monkeypatch.undo()
    frame = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    traced = partition_model(module, 64, 64)
    for output in traced.nodes.outputs:
        assert torch.equal(kept.nodes.run(frame)[output], traced.nodes.run(frame)[output])


@pytest.mark.parametrize("spoilt", ["model", "folder"])
def test_where_no_process_can_trace_there_is_no_file(tmp_path, spoilt):
    folder = tmp_path / "new"
    if spoilt == "folder":
        folder.write_text("no folder")
    file = folder / "trace-1.pt"
    trace_apart.trace_apart(file, "squeezenet1_1" if spoilt == "folder" else "no such model", "", (64, 64))
    assert not file.exists()


def test_a_model_is_traced_once_and_read_with_the_weights_that_it_has_now(tmp_path, monkeypatch):
    module = load_model("squeezenet1_1").module
    file = tmp_path / "new" / "trace-2.pt"
    first = partition_model(module, 64, 64, kept=file)
    monkeypatch.setattr(lower, "trace", lambda *a, **k: pytest.fail("traced again"))
    with torch.no_grad():
        next(module.parameters()).mul_(2.0)
    second = partition_model(module, 64, 64, kept=file)
    frame = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    name = next(node.name for node in first.nodes.nodes if "conv2d" in node.key)
    once, twice = first.nodes.run(frame)[name], second.nodes.run(frame)[name]
    assert second.graph.operators == first.graph.operators and not torch.equal(once, twice)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_file_that_cannot_be_read_is_replaced(tmp_path, content):
    file = tmp_path / "trace-3.pt"
    file.write_bytes(content)
    module = load_model("squeezenet1_1").module
    assert read_trace(file, PixelInput(module)) is None
    partition_model(module, 64, 64, kept=file)
    assert read_trace(file, PixelInput(module)) is not None


def test_a_graph_of_another_module_is_not_used(tmp_path):
    module = PixelInput(load_model("squeezenet1_1").module).eval()
    file = tmp_path / "trace-4.pt"
    keep_trace(file, trace(module, 64, 64), module)
    assert read_trace(file, PixelInput(load_model("resnet18").module)) is None


def test_files_are_named_by_everything_that_a_graph_follows_from(tmp_path, monkeypatch):
    same = ("resnet18", "d" * 64, (64, 64), (0, 0, 0), (1, 1, 1))
    others = [("resnet34", *same[1:]), (same[0], "e" * 64, *same[2:]), (*same[:2], (64, 65), *same[3:]),
              (*same[:3], (0, 0, 1), same[4]), (*same[:4], (1, 1, 2))]  # fmt: skip
    files = {trace_file(tmp_path, *key) for key in (same, *others)}
    assert len(files) == 6 and trace_file(tmp_path, *same) in files
    monkeypatch.setattr(kept_trace, "_code", lambda: "another version")
    assert trace_file(tmp_path, *same) not in files


def test_the_oldest_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_trace, "MOST_FILES", 2)
    module = PixelInput(load_model("squeezenet1_1").module).eval()
    graph = trace(module, 64, 64)
    for i in range(4):
        keep_trace(tmp_path / f"trace-{i}.pt", graph, module)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace-2.pt", "trace-3.pt"]


def test_a_kept_graph_spares_what_tracing_imports(tmp_path):
    code = (
        "import sys; from pathlib import Path; from coedge_ros.graph.loading import load_model; "
        "from coedge_ros.graph.lower import partition_model; "
        f"partition_model(load_model('squeezenet1_1').module, 64, 64, kept=Path({str(tmp_path / 'trace-5.pt')!r})); "
        "print('sympy' in sys.modules)"
    )
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]
