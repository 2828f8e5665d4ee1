"""Weights under which no mistake can hide: every layer's output has unit variance.

With the weights that torch draws by default, maps shrink from layer to layer until only the last biases are left, and
a net passes any comparison with its halo missing altogether (see docs/architecture.md, the oracle).
"""

from __future__ import annotations

import torch
from torch import nn

_LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_AFFINE_NORM = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@torch.no_grad()
def rescale_to_unit_variance(module: nn.Module, x: torch.Tensor, *, seed: int = 0) -> nn.Module:
    """Rescale a module's weights in place, layer by layer in the order in which they run on `x`.

    Convolutions and linear layers are divided by the standard deviation of their output (layer-sequential unit
    variance: Mishkin, Matas 2016), a layer that runs several times by its first. Batch norm gets statistics near those
    of its input, group and layer norm an affine part, so that none is the identity. Other parameters, such as the
    layer scale of 1e-6 that makes a ConvNeXt block the identity, are drawn from 0.5 to 1.5.

    Parameters
    ----------
    module
        In eval mode; it stays in it. All its layers must be modules, not an exported graph.
    x
        Normalised image (N, 3, H, W), best with much detail, such as noise.
        A layer whose weights are all zero, such as a zero-initialised last convolution, gets normal ones; one whose
        output is constant all the same is left as it is.
    seed
        Equal seeds give equal weights.

    Returns
    -------
    nn.Module
        The same module.
    """
    assert not module.training, "rescale for inference: call eval() first"
    random = torch.Generator().manual_seed(seed)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=random).to(like) * (high - low) + low

    def normal(like: torch.Tensor, deviation: float) -> torch.Tensor:
        return torch.randn(like.shape, generator=random).to(like) * deviation

    # Each block of a residual net amplifies a difference a little. With 100 batch norms, as in EfficientNet-B4,
    # rounding alone exceeds the tolerance, which would say nothing about bands: deep nets get less gain per layer.
    depth = sum(isinstance(layer, _BATCH_NORM) for layer in module.modules())
    damping = max(1.0, depth / 60)

    done: set[nn.Module] = set()

    def before(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if layer in done:
            return
        if isinstance(layer, _BATCH_NORM):
            done.add(layer)
            axes = [axis for axis in range(inputs[0].dim()) if axis != 1]
            mean, variance = inputs[0].mean(axes), inputs[0].var(axes, correction=0)
            # Dividing by the channel's own variance only, and taking its whole mean away, makes a deep net chaotic:
            # a dilated ResNet-50 then multiplies rounding errors to 1e-4 of its answer, the tolerance. With these
            # two factors float32 agrees with float64 to 6e-6 for all of the zoo, and a wrong input row still
            # changes every answer by 1e-3 and most by far more.
            deviation = (variance + inputs[0].var(correction=0)).sqrt()
            layer.running_mean.copy_(0.25 * mean + normal(mean, 0.2) * deviation)
            layer.running_var.copy_((deviation * uniform(deviation, 0.8, 1.25) * damping).square())
        if isinstance(layer, (*_BATCH_NORM, *_AFFINE_NORM)) and layer.weight is not None:
            done.add(layer)
            layer.weight.copy_(uniform(layer.weight, 0.7, 1.3))
            if layer.bias is not None:
                layer.bias.copy_(normal(layer.bias, 0.2))

    def after(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        if layer in done:
            return None
        done.add(layer)
        deviation = output.std(correction=0)
        if not deviation > 1e-20:
            layer.weight.copy_(normal(layer.weight, 1.0))
            output = layer.forward(*inputs)
            deviation = output.std(correction=0)
        if not (torch.isfinite(deviation) and deviation > 1e-20):
            return None
        layer.weight.div_(deviation)
        if layer.bias is not None:
            layer.bias.div_(deviation)
        return output / deviation

    known = (*_LINEAR, *_BATCH_NORM, *_AFFINE_NORM)
    for layer in module.modules():
        if not isinstance(layer, known):
            for parameter in layer.parameters(recurse=False):
                parameter.copy_(uniform(parameter, 0.5, 1.5))
    hooks = [layer.register_forward_pre_hook(before) for layer in module.modules() if isinstance(layer, known)]
    hooks += [layer.register_forward_hook(after) for layer in module.modules() if isinstance(layer, _LINEAR)]
    try:
        module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return module
