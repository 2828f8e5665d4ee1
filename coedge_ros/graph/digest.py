"""The digest of a model: manager and workers compare it before any frame, so that all hold the same weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def model_digest(module: nn.Module) -> str:
    """Return the SHA-256, in hex, over the module's weights.

    It covers name, shape, dtype and bytes of every parameter and persistent buffer, in the order of their names, so
    it is the same in every process and on every little-endian machine. It does not cover the code: two modules with
    equal weights and, say, other strides have one digest, which is why a plan names the model's spec as well.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict(keep_vars=True).items()):
        tensor = tensor.detach().cpu().contiguous()
        total.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        if tensor.numel():
            total.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()
