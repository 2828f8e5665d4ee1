"""Read a `torch.export` archive (`.pt2`) without running any code that it carries.

`torch.export.load` falls back to pickle, loads compiled libraries, evaluates size expressions and takes any function
of torch for an operator. A model that arrives over a network must not be able to use any of these, so an archive that
needs one of them is refused before torch sees it.
"""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from coedge_ros.errors import ModelError

_PLAIN_FOLDERS = ("data/weights/", "data/constants/", "data/sample_inputs/", "models/", "extra/", ".data/")
_PLAIN_FILES = ("archive_format", "archive_version", "byteorder", "version")
_OBJECTS = re.compile(r"data/constants/(custom|opaque)_obj")
_OPERATOR = re.compile(r"torch\.ops\.(\w+\.\w+\.\w+|higher_order\.\w+)|_operator\.\w+|math\.\w+|torch\.sym_\w+")
_ARITHMETIC = (
    "Add|Mul|Pow|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|FloatTrueDiv|PowByNatural|Max|Min|Integer|Rational|"
    "ToFloat|TruncToInt|FloorToInt|CeilToInt|RoundToInt|Equality|Unequality|Eq|Ne|StrictLessThan|LessThan|"
    "StrictGreaterThan|GreaterThan|And|Or|Not|Symbol|integer|positive|nonnegative|true|false|True|False|None"
)
_DROPOUT = (torch.ops.aten.dropout.default, torch.ops.aten.dropout_.default)
_EXPRESSION = re.compile(rf"((\b({_ARITHMETIC}|[su]\d+|\d+(\.\d+)?)\b)|'[su]\d+'|[-+*/%(),=<>&|\s])*")


def load_archive(path: Path) -> ExportedProgram:
    """Return the program in a `.pt2` file.

    Raises
    ------
    ModelError
        If it is no archive of this version of torch, would need pickle or other code, or was exported for training.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_code(path, archive)
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise ModelError(f"{path} is not a torch.export archive: {error}") from error
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.ERROR)  # torch logs a traceback of its own where it fails; ours is one line
    try:
        program = torch.export.load(path)
    except Exception as error:  # any type: a damaged archive fails anywhere inside torch
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"torch {torch.__version__} cannot load {path}: {reason}; "
            f"save it again with torch.export.save of this torch version"
        ) from error
    finally:
        log.setLevel(level)
    _refuse_training(path, program)
    return program


def program_input(program: ExportedProgram) -> tuple[tuple[int, int] | None, bool]:
    """Return (H, W) of the only image input of a program and whether no other size is possible.

    The size is None where the program was exported for any size.
    """
    users = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in users and "val" in node.meta]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        found = ", ".join(str(tuple(shape)) for shape in shapes) or "none"
        raise ModelError(f"a model takes one image of shape (N, 3, H, W); this archive takes {found}")
    size = shapes[0][2:]
    if all(isinstance(edge, int) for edge in size):
        return (int(size[0]), int(size[1])), True
    return None, False


def _refuse_code(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    roots = {name.split("/", 1)[0] for name in names}
    if len(roots) != 1 or len(set(names)) != len(names):
        raise ModelError(
            f"{path} is not an archive of torch.export.save (2.8 or later): save it again with this torch version"
        )
    for name in names:
        inner = name.split("/", 1)[1]
        if _OBJECTS.match(inner) or not (inner in _PLAIN_FILES or inner.startswith(_PLAIN_FOLDERS)):
            raise ModelError(f"{path} carries {inner}, which is code: only weights, constants and the graph are read")
        if inner.endswith(".json"):
            _refuse_code_in_json(path, json.loads(archive.read(name)))
        elif inner.startswith("data/sample_inputs/"):
            _refuse_pickle(path, archive.read(name))


def _refuse_code_in_json(path: Path, content: Any) -> None:
    for key, value in _fields(content):
        if key == "use_pickle" and value:
            raise ModelError(f"{path} holds pickled weights, which can run code: save them as plain dense tensors")
        if key == "target" and isinstance(value, str) and not _OPERATOR.fullmatch(value):
            raise ModelError(f"{path} calls {value}, which is not a tensor operator")
        if key == "expr_str" and not (isinstance(value, str) and _EXPRESSION.fullmatch(value)):
            raise ModelError(f"{path} has a size expression that is not arithmetic: {value!r:.60}")


def _fields(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of nested JSON, without recursion (the nesting is the file's)."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _refuse_pickle(path: Path, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise ModelError(
            f"{path} holds pickled sample inputs, which can run code: export with plain tensors"
        ) from error


def _refuse_training(path: Path, program: ExportedProgram) -> None:
    """Refuse batch norm and dropout in training mode: their answer depends on the other images, or on chance."""
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            is_norm = node.target is torch.ops.aten.batch_norm.default and node.args[5]
            is_dropout = node.target in _DROPOUT and node.args[2]
            if is_norm or is_dropout:
                raise ModelError(f"{path} was exported in training mode: call model.eval() before torch.export.export")
