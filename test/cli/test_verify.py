"""`coedge verify` as a user calls it."""

import json

import pytest
import torch
from support.torchvision_zoo import why_absent

from coedge_ros.cli.main import main
from coedge_ros.graph.loading import load_model


def verified(capsys, *arguments: str) -> dict:
    assert main(["verify", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capfd, *arguments: str) -> str:
    """The one line; `capfd` sees also what torch prints by itself."""
    assert main(["verify", *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.startswith("coedge verify: ") and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("cuts", ["none", "3,9"])
def test_squeeze_and_excitation_is_equal_however_it_is_cut(capsys, cuts):
    summary = verified(capsys, "--model", "efficientnet_b0", "--input", "64x96", "--cuts", cuts)
    assert summary["equal"] and 0 < summary["max_abs_diff"] <= 1e-4 * summary["scale"]
    assert summary["macs_banded_fraction"] > 0.95
    assert all("linear" in g or "reshape" in g for g in summary["gathered"])


def test_unequal_shares_with_an_idle_worker_and_several_outputs(capsys):
    summary = verified(capsys, "--model", "fpn_resnet18", "--input", "97x131", "--shares", "0.7,0,0.3", "--strict")
    assert summary["equal"] and summary["gathered"] == []
    assert summary["macs_share"].keys() == {"worker_1", "worker_3"}
    assert all(stage["rows"][1][0] == stage["rows"][1][1] for stage in summary["stages"])
    held = summary["peak_activation_bytes"]
    assert held["worker_1"] > held["worker_3"] > held["worker_2"] == 0
    assert held["worker_1"] == max(stage["peak_activation_bytes"][0] for stage in summary["stages"])


def test_real_weights_and_the_table(capsys):
    assert main(["verify", "--model", "mobilenet_v2", "--weights", "imagenet", "--workers", "2"]) == 0
    text = capsys.readouterr().out
    assert "EQUAL" in text and "NOT EQUAL" not in text and "on the head worker: linear" in text and "peak MB" in text


def test_an_archive_is_verified_with_the_weights_that_it_carries(capsys, tmp_path):
    module = load_model("squeezenet1_1", weights=None).module
    program = torch.export.export(module, (torch.zeros(1, 3, 97, 131),))
    torch.export.save(program, tmp_path / "net.pt2")
    summary = verified(capsys, "--model", str(tmp_path / "net.pt2"), "--workers", "2")
    assert summary["equal"]
    assert summary["scale"] < 0.5  # as torch draws weights; rescaled ones would give 1 or more


def test_flattened_maps_run_in_bands_and_pass_strict(capsys):
    summary = verified(capsys, "--model", "alexnet", "--strict")
    assert summary["equal"] and summary["macs_banded_fraction"] > 0.95


def test_over_dds_it_is_the_same_check(capsys):
    arguments = ("--model", "espcn", "--input", "40x56")
    summary = verified(capsys, *arguments, "--shares", "0.6,0.4", "--transport", "dds")
    here = verified(capsys, *arguments, "--shares", "0.6,0.4")
    assert summary["transport"] == "dds" and summary["equal"] and summary["tensors_compared"] == 1
    assert summary["stages"] == here["stages"] and summary["macs_share"] == here["macs_share"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "no_such_net"], "did you mean"),
        (["--model", "alexnet", "--input", "231x317"], "224x224 only"),
        (["--model", "resnet18", "--shares", "0,0"], "--shares"),
        (["--model", "resnet18", "--shares", "nan,1"], "--shares"),
        (["--model", "resnet18", "--input", "64x64", "--cuts", "9999"], "--cuts"),
        (["--model", "resnet18", "--model-arguments", "{"], "--model-arguments"),
        (["--model", "architectures.vit:vit", "--input", "64x64"], "does not run at 64x64"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_2(capfd, arguments, part):
    assert part in refused(capfd, *arguments)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("Branching", "if x.sum() > 0:"),
        ("Counting", "x.abs().max().item()"),
        ("ThroughNumpy", "torch.from_numpy(self.conv(x).numpy())"),
        ("Selecting", "return x[x > 0]"),
        ("Raising", "raise RuntimeError"),
    ],
)
def test_a_model_that_cannot_be_exported_is_answered_with_its_line_of_code(capfd, model, code):
    line = refused(capfd, "--model", f"support.refused:{model}", "--input", "32x32")
    assert "refused.py:" in line and code in line


def test_a_transformer_is_refused_by_the_name_of_its_attention(capfd):
    line = refused(capfd, "--model", "architectures.vit:vit", "--input", "224x224")
    assert "scaled_dot_product_attention at blocks.0" in line and "run this model whole" in line


@pytest.mark.skipif(bool(why_absent()), reason=why_absent())
@pytest.mark.parametrize(
    ("model", "part"),
    [("vit_b_16", "at encoder.layers.encoder_layer_0.self_attention"), ("swin_t", "at features.1.0.attn")],
)
def test_transformers_of_torchvision_are_refused_by_name(capfd, model, part):
    assert part in refused(capfd, "--model", f"support.torchvision_zoo:build_{model}", "--input", "224x224")


def test_strict_refuses_what_runs_whole_and_is_no_pooled_head(capfd):
    model = ("--model", "support.refused:SortingRows", "--input", "32x32")
    assert "sort at the top" in refused(capfd, *model, "--strict")
    assert main(["verify", *model]) == 0
    assert "notice: sort at the top needs the whole map" in capfd.readouterr().out
