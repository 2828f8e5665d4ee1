"""Random steps of a model: each adds a layer, an operator or a shape trick that convolutional models use.

A step takes hypothesis' `draw`, the source so far and the map that it works on.
"""

from __future__ import annotations

from hypothesis import strategies as st
from support.model_source import Source


def _pair(draw, low: int, high: int) -> tuple[int, int]:
    return draw(st.integers(low, high)), draw(st.integers(low, high))


def _one_of(draw, *choices):
    return draw(st.sampled_from(choices))


def _divisor(draw, *numbers: int) -> int:
    return draw(st.sampled_from([d for d in range(1, min(numbers) + 1) if all(n % d == 0 for n in numbers)]))


def convolution(draw, s: Source, x: str) -> bool:
    """Any kernel, also even and 1xk; strides, dilation, groups, all paddings."""
    channels, out = s.shape(x)[1], draw(st.integers(1, 8))
    groups = _one_of(draw, 1, 1, 1, channels)
    if groups > 1:
        out = out * groups if out * groups <= 24 else groups
    kernel, dilation = _pair(draw, 1, 5), _pair(draw, 1, 2)
    mode = _one_of(draw, "zeros", "zeros", "zeros", "reflect", "replicate", "circular")
    bias = draw(st.booleans())
    if draw(st.integers(0, 3)):
        stride, padding = _pair(draw, 1, 3), _pair(draw, 0, 3)
    else:
        stride, padding = 1, repr(_one_of(draw, "same", "valid"))
    text = f"{channels}, {out}, {kernel}, {stride}, {padding}, {dilation}, {groups}, {bias}, {mode!r}"
    return s.add(f"{s.layer(f'nn.Conv2d({text})')}({x})")


def transposed_convolution(draw, s: Source, x: str) -> bool:
    """With output padding, groups and dilation."""
    channels, out = s.shape(x)[1], draw(st.integers(1, 6))
    groups = _divisor(draw, channels, out)
    kernel, stride, padding = _pair(draw, 1, 4), _pair(draw, 1, 3), _pair(draw, 0, 2)
    extra, dilation = _pair(draw, 0, 1), _pair(draw, 1, 2)
    text = f"{channels}, {out}, {kernel}, {stride}, {padding}, {extra}, {groups}, {draw(st.booleans())}, {dilation}"
    return s.add(f"{s.layer(f'nn.ConvTranspose2d({text})')}({x})")


def pool(draw, s: Source, x: str) -> bool:
    """Largest and mean values, with all options."""
    kernel, ceil = _pair(draw, 1, 4), draw(st.booleans())
    stride, padding = _pair(draw, 1, 3), tuple(min(p, k // 2) for p, k in zip(_pair(draw, 0, 2), kernel, strict=True))
    if draw(st.booleans()):
        return s.add(f"F.max_pool2d({x}, {kernel}, {stride}, {padding}, {_pair(draw, 1, 2)}, {ceil})")
    override = _one_of(draw, None, None, 3)
    return s.add(f"F.avg_pool2d({x}, {kernel}, {stride}, {padding}, {ceil}, {draw(st.booleans())}, {override})")


def adaptive_pool(draw, s: Source, x: str) -> bool:
    """To any size."""
    return s.add(f"F.adaptive_{_one_of(draw, 'avg', 'max')}_pool2d({x}, {_pair(draw, 1, 9)})")


_ACTIVATIONS = (
    "F.relu({x})", "F.relu6({x})", "torch.sigmoid({x})", "torch.tanh({x})", "F.gelu({x})", "F.silu({x})",
    "F.gelu({x}, approximate='tanh')", "F.hardswish({x})", "F.hardsigmoid({x})", "F.leaky_relu({x}, 0.1)",
    "F.elu({x})", "F.softplus({x})", "F.mish({x})", "F.selu({x})", "F.celu({x})", "F.hardtanh({x})",
    "F.relu({x}, inplace=True) * 1", "{x}.clamp(-0.5, 1)", "{x}.abs()", "-{x}", "({x} * {x} + 1).sqrt()",
    "torch.where({x} > 0, {x}, {x} * 0.3)", "F.dropout({x}, 0.5, False)", "torch.exp(-{x}.abs())",
    "{x}.clamp(min=0) ** 2", "F.softmax({x}, 1)", "F.log_softmax({x}, 1)", "{x}.contiguous().clone()",
    "F.logsigmoid({x})", "F.softsign({x})", "F.tanhshrink({x})", "{x}.double().float()", "F.threshold({x}, 0.1, 0.1)",
    "torch.addcmul({x}, {x}, {x}, value=0.5)", "1 - {x}", "2 / ({x}.abs() + 1)", "F.normalize({x}, dim=1)",
    "{x}.cumsum(1)", "torch.maximum({x}, -{x})", "{x}.masked_fill({x} < 0, 0.0)",
)  # fmt: skip


def activation(draw, s: Source, x: str) -> bool:
    """Point by point, or along the channels."""
    return s.add(draw(st.sampled_from(_ACTIVATIONS)).format(x=x))


def channel_layer(draw, s: Source, x: str) -> bool:
    """Norms, parameters per channel or per pixel, channels-last blocks, channel shuffle."""
    _, c, h, w = s.shape(x)
    groups = _divisor(draw, c)
    layers = {
        "batch": f"nn.BatchNorm2d({c})",
        "group": f"nn.GroupNorm({groups}, {c})",
        "instance": f"nn.InstanceNorm2d({c}, affine={draw(st.booleans())})",
        "local": f"nn.LocalResponseNorm({draw(st.integers(1, 4))}, 0.5, 0.75, 2.0)",
        "prelu": f"nn.PReLU({_one_of(draw, 1, c)})",
        "layer_norm": f"nn.LayerNorm({c})",
        "linear": f"nn.Linear({c}, {draw(st.integers(1, 6))})",
        "parameter": f"nn.ParameterList([torch.rand((1, {c}, 1, 1))])",
        "bias_map": f"nn.ParameterList([torch.rand((1, {c}, {h}, {w}))])",
    }
    kind = draw(st.sampled_from([*layers, "shuffle"]))
    if kind == "shuffle":
        return s.add(f"{x}.reshape(1, {groups}, {c // groups}, {h}, {w}).transpose(1, 2).reshape(1, {c}, {h}, {w})")
    if (kind == "layer_norm" and c == 1) or (kind == "instance" and h * w == 1):
        return False  # of one value all that is left is zero
    layer = s.layer(layers[kind])
    if kind in ("layer_norm", "linear"):
        return s.add(f"{layer}({x}.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)")
    if kind in ("parameter", "bias_map"):
        return s.add(f"{x} {'*' if kind == 'parameter' else '+'} {layer}[0]")
    return s.add(f"{layer}({x})")


def join(draw, s: Source, x: str) -> bool:
    """With an earlier map: skip connections over any distance, concatenation, gates."""
    n, c, h, w = s.shape(x)
    like = [name for name in s.maps if s.shape(name) == (n, c, h, w)]
    beside = [name for name in s.maps if s.shape(name)[2:] == (h, w)]
    above = [name for name in s.maps if s.shape(name)[1] == c and s.shape(name)[3] == w]
    dim = draw(st.integers(0, 4))
    forms = {
        "{x} + {o}": like,
        "{x} - 0.5 * {o}": like,
        "{x} * {o}": like,
        "{x} / (1 + {o}.abs())": like,
        "torch.maximum({x}, {o} * 0.9)": like,
        "{x} * {o}.mean(3, keepdim=True)": like,
        f"torch.stack([{{x}}, {{o}} * 2], {dim}).sum({dim})": like,
        "torch.cat([{x}, {o}], 1)": beside,
        "{x} * torch.sigmoid({o}[:, :1])": beside,
        "torch.cat([{x}, {o}], 2)": above,
    }
    form = draw(st.sampled_from(list(forms)))
    return s.add(form.format(x=x, o=draw(st.sampled_from(forms[form]))))


_POOLED = (
    "{x}.mean((2, 3), keepdim=True)", "F.adaptive_avg_pool2d({x}, 1)", "{x}.amax((2, 3), keepdim=True)",
    "F.adaptive_max_pool2d({x}, 1)", "{x}.sum((2, 3), keepdim=True) * 0.01", "{x}.mean(2, keepdim=True)",
    "{x}.amin(2, keepdim=True)", "{x}.flatten(2).mean(2)[:, :, None, None]", "{x}.max(2, keepdim=True).values",
    "{x}.norm(dim=(2, 3), keepdim=True) * 0.1", "{x}.std((2, 3), keepdim=True)", "{x}.var(2, keepdim=True)",
    "{x}.logsumexp((2, 3), keepdim=True) * 0.1",
)  # fmt: skip
_POOLED_TO_ONE = ("{x}.mean((1, 2, 3), keepdim=True)", "{x}.mean()", "{x}.mean(1, keepdim=True)", "{x}.max() * 0.1")


def pooled(draw, s: Source, x: str) -> bool:
    """Squeeze and excitation, image pooling, and other uses of statistics over the map."""
    channels = s.shape(x)[1]
    statistic = draw(st.sampled_from([*_POOLED, *_POOLED_TO_ONE]))
    use = _one_of(
        draw, "{x} * torch.sigmoid({p})", "{x} - {p}", "{x} + {conv}({p})", "torch.cat([{x}, {x} * 0 + {p}], 1)"
    )
    conv = ""
    if "{conv}" in use:
        if statistic in _POOLED_TO_ONE:
            return False
        conv = s.layer(f"nn.Conv2d({channels}, {channels}, 1)")
    return s.add(use.format(x=x, p=statistic.format(x=x), conv=conv))


def part(draw, s: Source, x: str) -> bool:
    """Slices, pieces, flips and rolls, along any axis."""
    _, c, h, w = s.shape(x)
    kind = _one_of(draw, "rows", "channels", "columns", "narrow", "flip", "roll", "chunk", "split", "unbind", "write")
    if kind == "rows":
        stop = _one_of(draw, None, -1, h - 1, h)
        return s.add(f"{x}[:, :, {draw(st.integers(-h, h))}:{stop}:{draw(st.integers(1, 3))}]")
    if kind == "channels":
        return s.add(f"{x}[:, {draw(st.integers(0, c - 1))}:]")
    if kind == "columns":
        return s.add(f"{x}[..., {draw(st.integers(0, w - 1))}::{draw(st.integers(1, 2))}]")
    if kind == "narrow":
        return s.add(f"{x}.narrow(2, {draw(st.integers(0, h - 1))}, {draw(st.integers(1, h))})")
    if kind == "flip":
        return s.add(f"{x}.flip({_one_of(draw, (2,), (3,), (2, 3), (1, 2), (-1,))})")
    if kind == "roll":
        return s.add(f"{x}.roll({(draw(st.integers(-9, 9)), 1)}, {_one_of(draw, (2, 3), (1, 2))})")
    if kind == "unbind":
        return c == 2 and s.add(f"torch.stack({x}.unbind(1)[::-1], 1)")
    if kind == "write":  # into a part, as export spells in-place operators on a view
        return h > 1 and s.add(f"torch.slice_scatter({x}, {x}[:, :, 1:] * 2, 2, 1, {h})")
    dim = _one_of(draw, 1, 1, 2)
    total = s.shape(x)[dim]
    if kind == "chunk":
        count = draw(st.integers(2, 3))
        return -(-total // -(-total // count)) == count and s.add(f"{x}.chunk({count}, {dim})", count)
    if total < 2:
        return False
    first = draw(st.integers(1, total - 1))
    return s.add(f"torch.split({x}, [{first}, {total - first}], {dim})", 2)


def reshaped(draw, s: Source, x: str) -> bool:
    """Pads, pixel shuffles by name and spelled out, views that keep the rows an axis."""
    _, c, h, w = s.shape(x)
    r = draw(st.integers(2, 3))
    kind = _one_of(draw, "shuffle", "unshuffle", "spelled", "spelled_back", "pad", "mode", "swap", "repeat", "squeeze",
                   "unflatten", "flat_and_back")  # fmt: skip
    if kind in ("shuffle", "unshuffle"):
        return s.add(f"F.pixel_{kind}({x}, {r})")
    if kind == "spelled":
        o = c // (r * r)
        apart = f"{x}.view(1, {o}, {r}, {r}, {h}, {w}).permute(0, 1, 4, 2, 5, 3)"
        return c % (r * r) == 0 and s.add(f"{apart}.reshape(1, {o}, {h * r}, {w * r})")
    if kind == "spelled_back":
        if h % r or w % r or h == r:  # of r rows one row is made: which axis holds it cannot be told
            return False
        apart = f"{x}.view(1, {c}, {h // r}, {r}, {w // r}, {r}).permute(0, 3, 5, 1, 2, 4)"
        return s.add(f"{apart}.reshape(1, {c * r * r}, {h // r}, {w // r})")
    if kind == "pad":
        return s.add(f"F.pad({x}, {draw(st.tuples(*[st.integers(-1, 3)] * 4))}, value={_one_of(draw, 0, 0.5)})")
    if kind == "mode":
        mode = _one_of(draw, "reflect", "replicate", "circular")
        return s.add(f"F.pad({x}, {draw(st.tuples(*[st.integers(0, 3)] * 4))}, mode={mode!r})")
    if kind == "swap":
        inside = _one_of(draw, "torch.relu({y})", "F.max_pool2d({y}, 3, 1, 1)", "F.avg_pool2d({y}, (2, 3))")
        return s.add(f"{inside.format(y=f'{x}.transpose(2, 3)')}.transpose(2, 3)")
    if kind == "repeat":
        return s.add(f"{x}.repeat(1, 2, 1, 1)")
    if kind == "squeeze":
        return s.add(f"torch.relu({x}.squeeze(0)).unsqueeze(0)")
    if kind == "flat_and_back":
        return s.add(f"(({x}.flatten(2).transpose(1, 2)) * 2).transpose(1, 2).reshape(1, {c}, {h}, {w})")
    return s.add(f"{x}.flatten(0, 1).unflatten(0, (1, {c}))")


def resized(draw, s: Source, x: str) -> bool:
    """By size or by factor, in all modes."""
    _, _, h, w = s.shape(x)
    mode = _one_of(draw, "nearest", "nearest-exact", "bilinear", "bilinear", "bicubic")
    corners = draw(st.booleans()) if mode in ("bilinear", "bicubic") else None
    if draw(st.booleans()):
        others = [s.shape(name)[2:] for name in s.maps]
        size = draw(st.sampled_from([*others, (h * 2, w * 2), (h + 3, w), (max(1, h // 2), w)]))
        return s.add(f"F.interpolate({x}, {size}, mode={mode!r}, align_corners={corners})")
    factor = _one_of(draw, 2, 3, 1.5, 0.5, (2, 1), (1.7, 2.0))
    recompute = None if isinstance(factor, int) else _one_of(draw, None, True)
    text = f"scale_factor={factor}, mode={mode!r}, align_corners={corners}, recompute_scale_factor={recompute}"
    # torch's antialiased kernels err where the answer has one column
    antialias = corners is not None and w > 3 and draw(st.integers(0, 3)) == 0
    return s.add(f"F.interpolate({x}, {text}{', antialias=True' if antialias else ''})")


STEPS = (
    *[convolution] * 4,
    transposed_convolution,
    *[pool] * 2,
    adaptive_pool,
    *[activation] * 3,
    *[channel_layer] * 2,
    *[join] * 3,
    pooled,
    part,
    reshaped,
    resized,
)
