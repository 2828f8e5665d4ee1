"""`coedge verify`: a model in bands against the whole model, outputs and every tensor at every cut."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from coedge_ros.cli.planning_inputs import add_model_arguments, parse_integers, parse_size
from coedge_ros.errors import ModelError, UserError
from coedge_ros.spec.codec import CODECS, Codec

CUTS = "layers, none (forced ones only), auto (a random choice of the legal ones), or operator indices with commas"
TRANSPORTS = ("inprocess", "dds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge verify`."""
    add_model_arguments(parser)
    parser.add_argument("--model-arguments", default="", metavar="JSON", help="keyword arguments of the factory")
    parser.add_argument("--workers", type=int, default=3, help="workers, when no --shares are given")
    parser.add_argument("--shares", default="", metavar="a,b,..", help="part of the rows of each worker; zero is legal")
    parser.add_argument("--cuts", default="layers", help=CUTS)
    parser.add_argument(
        "--transport", default="inprocess", choices=TRANSPORTS, help="dds: worker processes of their own, over DDS"
    )
    parser.add_argument("--codec", default="raw", choices=CODECS, help="coding of rows between workers")
    parser.add_argument("--strict", action="store_true", help="refuse a model of which more than the head runs whole")
    parser.add_argument("--seed", type=int, default=0, help="of random weights, of the frame and of random cuts")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")


def run(args: argparse.Namespace) -> int:
    """0 when equal, 1 when not; UserError (2) when the model cannot be loaded, traced or split as asked."""
    import torch

    from coedge_ros.cli.verify_report import print_report, summary
    from coedge_ros.execution.verification import Oracle
    from coedge_ros.graph.whole import refuse_mostly_whole
    from coedge_ros.spec.derivation import derive_schedule
    from coedge_ros.spec.plan import plan_from_shares

    torch.set_num_threads(1)
    shares = _shares(args)
    loaded, size = _load(args)
    oracle = Oracle(loaded.module, *size, loaded.mean, loaded.std, strict=args.strict)
    graph = oracle.model.graph
    refuse_mostly_whole(graph)
    cuts = _cuts(args, graph)
    frame = oracle.frames(1, args.seed)[0]
    if args.transport == "dds":
        verdict, plan = _over_dds(args, oracle, frame, shares, cuts)
    else:
        plan = plan_from_shares(graph, tuple(f"worker_{i + 1}" for i in range(len(shares))), shares, cuts)
        plan = replace(plan, codecs=((Codec.parse(args.codec),) * len(shares),) * len(shares))
        verdict = oracle.verify(plan, [frame])
    schedule = derive_schedule(graph, plan)
    if args.json:
        print(json.dumps(summary(args, size, schedule, verdict)))
    else:
        print_report(args, size, schedule, verdict)
    return 0 if verdict.is_equal else 1


def _load(args: argparse.Namespace):
    """The model with its weights, and its input size (H, W)."""
    from coedge_ros.execution.verification import noise_input
    from coedge_ros.graph.blame import first_line, line_of_error
    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.rescale import rescale_to_unit_variance

    try:
        arguments = json.loads(args.model_arguments) if args.model_arguments else None
    except json.JSONDecodeError as error:
        raise UserError(f'--model-arguments is not JSON ({error}): write it like {{"classes": 10}}') from None
    loaded = load_model(args.model, arguments=arguments, weights=args.weights or None, seed=args.seed)
    size = parse_size(args.input) or loaded.input_size
    if size is None:
        raise UserError(f"{args.model} does not say its input size: give --input HxW")
    if loaded.fixed_input and loaded.input_size and tuple(size) != tuple(loaded.input_size):
        h, w = loaded.input_size
        raise ModelError(f"{args.model} takes {h}x{w} only: give --input {h}x{w}, or leave it out")
    if _is_rescaled(args):
        # As torch draws them, maps shrink from layer to layer until an error no longer shows. For the very frame that
        # is compared: a deep net with maps of a few pixels amplifies rounding for any other.
        try:
            noise = noise_input(*size, loaded.mean, loaded.std, args.seed)
            rescale_to_unit_variance(loaded.module, noise, seed=args.seed)
        except Exception as error:  # the user's own code ran, and may raise anything
            where = f" at {line}" if (line := line_of_error(error)) else ""
            raise ModelError(
                f"{args.model} does not run at {size[0]}x{size[1]}: {first_line(error)}{where}; give another --input"
            ) from error
    return loaded, size


def _is_rescaled(args: argparse.Namespace) -> bool:
    """An archive has its weights with it."""
    return not args.weights and not args.model.endswith(".pt2")


def _over_dds(args: argparse.Namespace, oracle, frame, shares: list[float], cuts: tuple[int, ...]):
    """Verdict and plan of a cluster of processes on this machine."""
    import torch

    from coedge_ros.cli.verify_dds import answer_over_dds
    from coedge_ros.execution.verification import Verdict
    from coedge_ros.rows.split import split_by_shares

    rows = [b - a for a, b in pairwise(split_by_shares(oracle.size[0], shares))]
    with tempfile.TemporaryDirectory(prefix="coedge_verify_") as folder:
        weights = args.weights
        if _is_rescaled(args):
            weights = str(Path(folder) / "weights.pt")
            torch.save(oracle.module.state_dict(), weights)
        answer = answer_over_dds(
            Path(folder), args.model, args.model_arguments, weights, oracle.size, rows, cuts, frame, args.codec
        )
    outputs = oracle.compare_outputs(answer.outputs, frame, answer.plan.tolerance)
    return Verdict(tuple(outputs), (), answer.usage), answer.plan


def _shares(args: argparse.Namespace) -> list[float]:
    try:
        shares = [float(part) for part in args.shares.split(",")] if args.shares else [1.0] * args.workers
    except ValueError:
        raise UserError(f"--shares {args.shares!r} must be numbers with commas between them") from None
    if not shares or not all(0 <= share < float("inf") for share in shares) or sum(shares) <= 0:
        raise UserError(f"--shares {args.shares or args.workers} must be >= 0 and not all zero, for one worker or more")
    return shares


def _cuts(args: argparse.Namespace, graph) -> tuple[int, ...]:
    from coedge_ros.spec.cuts import forced_cuts, layer_cuts, legal_cuts, with_forced

    if args.cuts == "layers":
        return layer_cuts(graph)
    if args.cuts == "none":
        return forced_cuts(graph)
    if args.cuts == "auto":
        legal = legal_cuts(graph)
        return with_forced(graph, random.Random(args.seed).sample(legal, len(legal) // 4))
    try:
        return with_forced(graph, parse_integers(args.cuts, "--cuts"))
    except ValueError as error:
        raise UserError(f"--cuts: {error}") from None
