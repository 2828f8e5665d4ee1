"""`coedge verify` as a user calls it."""

import json

import pytest

from coedge_ros.cli.main import main


def verified(capsys, *arguments: str) -> dict:
    assert main(["verify", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


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


def test_real_weights_and_the_table(capsys):
    assert main(["verify", "--model", "mobilenet_v2", "--weights", "imagenet", "--workers", "2"]) == 0
    text = capsys.readouterr().out
    assert "EQUAL" in text and "NOT EQUAL" not in text and "on the head worker: linear" in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "no_such_net"], "did you mean"),
        (["--model", "alexnet", "--input", "231x317"], "224x224 only"),
        (["--model", "resnet18", "--shares", "0,0"], "--shares"),
        (["--model", "resnet18", "--input", "64x64", "--cuts", "9999"], "--cuts"),
        (["--model", "architectures.vit:vit", "--input", "64x64"], "does not run at 64x64"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_2(capsys, arguments, part):
    assert main(["verify", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("coedge verify: ") and error.count("\n") == 1 and part in error
