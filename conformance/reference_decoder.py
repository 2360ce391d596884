"""Reference decoder, written from SPEC.md alone: Python ints, slow and obvious, no other library.

    python conformance/reference_decoder.py --model M.inm < stream.inic > samples
    python conformance/reference_decoder.py --check-model M.inm [--describe]

Exit code 0: decoded, or the model is accepted. 1: rejected, with `CLASS: message [clause.id]` on
stderr. It follows the order of SPEC.md. `# [clause.id]` and the lines `# > ` after it quote, word
for word, the sentences that the code below them implements.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from operator import mul
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

# ---- 11 Errors (first, as all the rest raises them) ---------------------------------------------
# [error.classes]
# > Our vectors name these classes; a class in the column *is a* is reported wherever it is
# > expected.


class CodecError(Exception):
    """Any refusal: a message and the clause that is broken."""

    def __init__(self, message: str, clause: str) -> None:
        super().__init__(f"{message} [{clause}]")
        self.message, self.clause = message, clause


class IntnetError(CodecError):
    """Refused."""


class ModelError(IntnetError):
    """A model file or program is at fault."""


class BoundError(ModelError):
    """A proved bound reaches its limit."""


class StreamError(IntnetError):
    """A stream is at fault."""


class RangeCoderError(CodecError):
    """Of the range coder used alone."""


class TableError(RangeCoderError):
    """Tables are at fault."""


class PayloadError(RangeCoderError):
    """A payload is at fault."""


# [term.must]
# > *Refuse* means: give no result, report an error of the class that section 11 names. Whatever
# > this text does not allow, a decoder must refuse, unless it says *may*.
def need(allowed: bool, message: str, clause: str, error: type[CodecError] = ModelError) -> None:
    """Refuse unless allowed."""
    if not allowed:
        raise error(message, clause)


# ---- 1 Conventions and terms --------------------------------------------------------------------
# [term.types]
# > | `u8` | `U8` | `uint8` | 0 to 255 | | `s8` | `I8` | `int8` | -128 to 127 | | `s16` | `I16` |
# > `int16` | -32768 to 32767 | | `s32` | `I32` | `int32` | -2147483648 to 2147483647 |
INTERVALS = {
    "u8": (0, 255),
    "s8": (-128, 127),
    "s16": (-32768, 32767),
    "s32": (-2147483648, 2147483647),
}
IN_SAFETENSORS = {"U8": "u8", "I8": "s8", "I16": "s16", "I32": "s32"}
HASHED_AS = {"u8": "uint8", "s8": "int8", "s16": "int16", "s32": "int32"}
ARRAY_CODES = {"u8": "B", "s8": "b", "s16": "h", "s32": "i"}
BYTES = {"u8": 1, "s8": 1, "s16": 2, "s32": 4}


# [term.little-endian]
# > Every number of several bytes in a file is little-endian, signed ones in two's complement.
def unpack(dtype: str, data: bytes) -> array[int]:
    """The integers of a file's bytes."""
    values = array(ARRAY_CODES[dtype])
    assert values.itemsize == BYTES[dtype]
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def number(data: bytes) -> int:
    """An unsigned number of a file."""
    return int.from_bytes(data, "little")


# ---- 2 Integer arithmetic -----------------------------------------------------------------------
# [arith.floor-shift]
# > `a >> b` is floor(a / 2^b), also for negative a (an arithmetic shift). `a << b` is a * 2^b.
# [arith.floor-div]
# > `a // b`, b > 0, is floor(a / b).
# The operators >>, <<, // and % of Python's ints are just these.


# [arith.floor-div]
# > ceil(a / b) is -((-a) // b).
def ceil_div(a: int, b: int) -> int:
    """ceil(a / b)."""
    return -((-a) // b)


# [arith.clip]
# > clip(a, lo, hi) is lo if a < lo, hi if a > hi, else a.
def clip(a: int, lo: int, hi: int) -> int:
    """The nearest value within [lo, hi]."""
    return lo if a < lo else hi if a > hi else a


# [arith.round-shift]
# > round_shift(a, s) = (a + 2^(s - 1)) >> s, for 1 <= s <= 62. It is a / 2^s rounded to nearest,
# > ties toward plus infinity.
def round_shift(a: int, s: int) -> int:
    """The one rounding shift."""
    return (a + (1 << (s - 1))) >> s


# [arith.requantise]
# > requantise(acc, multiplier, shift, lo, hi) = clip(round_shift(acc * multiplier, shift), lo, hi).
def requantise(acc: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """An accumulator scaled, rounded and clipped."""
    return clip(round_shift(acc * multiplier, shift), lo, hi)


# [arith.divide]
# > divide(a, b, left_shift), b >= 1: with n = a * 2^left_shift it is (2 * n + b) // (2 * b), that
# > is n / b rounded to nearest, ties toward plus infinity.
def divide(a: int, b: int, left_shift: int) -> int:
    """A quotient, rounded."""
    n = a << left_shift
    return (2 * n + b) // (2 * b)


# ---- 3 Tensors, ports, operations ---------------------------------------------------------------
# [tensor.layout]
# > A tensor that a program reads or makes has three axes: height, width, channels, in this order,
# > each at least 1. `t[y, x, c]` is row y from the top, column x from the left, channel c.
# [tensor.layout]
# > it is row-major: c runs fastest, then x, then y.
# Here a list of rows, each a list of samples, each a list of channels: t[y][x][c].
Tensor = list[list[list[int]]]
Size = tuple[int, int]


def size_of(t: Tensor) -> Size:
    """Height and width."""
    return len(t), len(t[0])


def flat(t: Tensor) -> list[int]:
    """The elements, row-major."""
    return [value for row in t for sample in row for value in sample]


def unflat(values: list[int], height: int, width: int, channels: int) -> Tensor:
    """The tensor of row-major elements."""
    samples = [values[i : i + channels] for i in range(0, len(values), channels)]
    return [samples[y * width : (y + 1) * width] for y in range(height)]


class Array(NamedTuple):
    """A tensor of parameters: one or four axes, row-major."""

    dtype: str
    shape: tuple[int, ...]
    values: Any  # array or list of ints


class Port(NamedTuple):
    """The type of a tensor."""

    name: str
    dtype: str
    channels: int
    lo: int
    hi: int

    # [port.derived]
    # > The magnitude of a port is max(|lo|, |hi|).
    @property
    def magnitude(self) -> int:
        """The greatest absolute value."""
        return max(abs(self.lo), abs(self.hi))


# [program.types]
# > Integers are JSON numbers without fraction and exponent; `true` is no integer and `1.0` is none.
def is_integer(value: Any, lo: int | None = None, hi: int | None = None) -> bool:
    """An integer, and within [lo, hi] if given."""
    return type(value) is int and (lo is None or lo <= value) and (hi is None or value <= hi)


# [program.types]
# > An object that lacks a field, has another one, or has a value of another type is refused.
def need_fields(value: Any, fields: set[str], clause: str) -> None:
    """An object of exactly these fields."""
    need(type(value) is dict and set(value) == fields, f"fields must be {sorted(fields)}", clause)


# [program.names]
# > Names of programs, inputs and ops have 1 to 64 characters: first one of `a` to `z`, then any of
# > `a` to `z`, `0` to `9`, `_`, `.`.
def need_name(name: Any) -> None:
    """A name as it must be."""
    good = type(name) is str and re.fullmatch("[a-z][a-z0-9_.]{0,63}", name) is not None
    need(good, f"name {name!r:.80}", "program.names")


# [port.channels]
# > `channels` | integer | channels | 1 to 8192 |
# [port.lo]
# > `lo` | integer | least value | within dtype, `lo` <= `hi` |
# [port.hi]
# > `hi` | integer | greatest value | within dtype |
def need_port(port: Port) -> None:
    """A port as it must be; derived ones as well."""
    need_name(port.name)
    known = type(port.dtype) is str and port.dtype in INTERVALS
    need(known, f"dtype {port.dtype!r:.80}", "port.dtype")
    need(is_integer(port.channels, 1, 8192), "channels of a port", "port.channels")
    least, greatest = INTERVALS[port.dtype]
    need(is_integer(port.lo, least, greatest), "lo of a port", "port.lo")
    need(is_integer(port.hi, least, greatest), "hi of a port", "port.hi")
    need(port.lo <= port.hi, "lo above hi", "port.lo")


# [op.fields]
# > In the JSON form of a program ([program.json](#program.json)) an op is an object with `kind`,
# > `name`, `inputs` and the fields of its kind, no others. Fields that are tensors are not in the
# > JSON, see [model.tensors](#model.tensors).
# [op.fields]
# > | `stride` | integer | step of the kernel | 1 to 8 | | `padding` | list of 4 integers | rows and
# > columns at top, left, bottom, right | each 0 to 64 | | `groups` | integer | channel groups G | 1
# > to channels of the input | | `block` | integer | side of a block B | 1 to 16 | | `begin`, `end`
# > | integers | channels | 0 <= begin < end <= channels | | `left_shift` | integer | bits | 0 to 30
# > | | `mode` | string | what is added | `zero`, `edge` |
FIELD_RULES: dict[str, Callable[[Any], bool]] = {
    "stride": lambda v: is_integer(v, 1, 8),
    "padding": lambda v: (
        type(v) is list and len(v) == 4 and all(is_integer(part, 0, 64) for part in v)
    ),
    "groups": lambda v: is_integer(v, 1),
    "block": lambda v: is_integer(v, 1, 16),
    "begin": lambda v: is_integer(v, 0),
    "end": lambda v: is_integer(v, 1),
    "left_shift": lambda v: is_integer(v, 0, 30),
    "mode": lambda v: type(v) is str and v in ("zero", "edge"),
    "dtype": lambda v: type(v) is str and v in INTERVALS,
    "lo": is_integer,
    "hi": is_integer,
}

# [op.clipped]
# > The kinds `conv`, `conv_transpose`, `requantise`, `lut`, `add`, `mul` and `div` have the fields
# > `dtype`, `lo`, `hi` and end in a clip to [lo, hi]. The port of their result is (`name`, `dtype`,
# > channels, `lo`, `hi`).
CLIPPED = ("conv", "conv_transpose", "requantise", "lut", "add", "mul", "div")


def clipped_port(op: Any, channels: int) -> Port:
    """The port of the result of these kinds."""
    return Port(op.name, op.dtype, channels, op.lo, op.hi)


# [op.clipped]
# > In the formulas rq(a, c) is requantise(a, multiplier[c], shift[c], lo, hi).
def rq(op: Any, a: int, c: int) -> int:
    """requantise with the parameters of channel c."""
    return requantise(a, op.multiplier.values[c], op.shift.values[c], op.lo, op.hi)


# [op.sizes]
# > Where no size rule is given, all inputs must have equal heights and equal widths, and the result
# > has them too.
def size_equal(op: Any, sizes: list[Size]) -> Size:
    """The size rule of the kinds that have none of their own."""
    need(len(set(sizes)) == 1, f"{op.name}: inputs of unequal sizes", "op.sizes")
    return sizes[0]


# [op.sizes]
# > A size rule is given for the height; the width follows it with w, left, right, KX in place of h,
# > top, bottom, KY.
def both_axes(op: Any, size: Size, rule: Callable[..., int]) -> Size:
    """A size rule applied to the height, then to the width."""
    top, left, bottom, right = op.padding
    if op.kind in ("pad", "crop"):
        return rule(size[0], top, bottom), rule(size[1], left, right)
    _, ky, kx, _ = op.weight.shape
    return rule(size[0], top, bottom, ky, op.stride), rule(size[1], left, right, kx, op.stride)


# [op.conv]
# > | needs | channels of the input = I * G; N is a multiple of G | | channels | N |
def port_conv(op: Any, ports: list[Port]) -> Port:
    """The port of conv and conv_transpose."""
    n, _, _, i = op.weight.shape
    need(op.groups <= ports[0].channels, f"{op.name}: groups", "op.fields")
    need(ports[0].channels == i * op.groups, f"{op.name}: channels of the input", "op.conv")
    need(n % op.groups == 0, f"{op.name}: N is no multiple of groups", "op.conv")
    return clipped_port(op, n)


# [op.conv]
# > | height | (h + top + bottom - KY) // stride + 1; needs h + top + bottom >= KY |
def conv_size(h: int, top: int, bottom: int, ky: int, stride: int) -> int:
    """Height or width of what conv makes."""
    need(h + top + bottom >= ky, "a kernel greater than its input", "op.conv")
    return (h + top + bottom - ky) // stride + 1


# [op.conv]
# > | acc | bias[n] + sum over ky, kx, i of weight[n, ky, kx, i] * in[y * stride + ky - top, x *
# > stride + kx - left, g * I + i], where g = n // (N / G) and `in` is 0 outside | | value | rq(acc,
# > n) |
def value_conv(op: Any, inputs: list[Tensor]) -> Tensor:
    """Cross-correlation: at [y, x] the window of group g, in the order of the kernels' elements."""
    n_kernels, ky, kx, i = op.weight.shape
    size = ky * kx * i
    kernels = [op.weight.values[n * size : (n + 1) * size] for n in range(n_kernels)]
    group_of = [n // (n_kernels // op.groups) for n in range(n_kernels)]
    height, width = both_axes(op, size_of(inputs[0]), conv_size)
    padded = surround(inputs[0], op.padding)
    result = []
    for y in range(height):
        rows = padded[y * op.stride : y * op.stride + ky]
        result.append([])
        for x in range(width):
            samples = [s for row in rows for s in row[x * op.stride : x * op.stride + kx]]
            windows = [
                [value for s in samples for value in s[g * i : (g + 1) * i]]
                for g in range(op.groups)
            ]
            accs = [
                op.bias.values[n] + sum(map(mul, kernels[n], windows[group_of[n]]))
                for n in range(n_kernels)
            ]
            result[-1].append([rq(op, acc, n) for n, acc in enumerate(accs)])
    return result


def surround(t: Tensor, padding: list[int]) -> Tensor:
    """Zeros around a tensor."""
    top, left, bottom, right = padding
    zero = [0] * len(t[0][0])
    across = left + len(t[0]) + right
    rows = [[zero] * left + row + [zero] * right for row in t]
    return [[zero] * across] * top + rows + [[zero] * across] * bottom


# [op.conv_transpose]
# > | height | (h - 1) * stride + KY - top - bottom; must be at least 1 |
def conv_transpose_size(h: int, top: int, bottom: int, ky: int, stride: int) -> int:
    """Height or width of what conv_transpose makes."""
    size = (h - 1) * stride + ky - top - bottom
    need(size >= 1, "a result without samples", "op.conv_transpose")
    return size


# [op.conv_transpose]
# > | acc of [Y, X, n] | bias[n] + sum over all y, x, ky, kx, i with y * stride + ky - top = Y and x
# > * stride + kx - left = X of weight[n, ky, kx, i] * in[y, x, g * I + i], g as in conv | | value |
# > rq(acc, n), also where the sum is empty and acc = bias[n] |
def value_conv_transpose(op: Any, inputs: list[Tensor]) -> Tensor:
    """Every sample of the input adds its kernel to the accumulators."""
    (top, left, _, _), (_, kernel_h, kernel_w, _) = op.padding, op.weight.shape
    height, width = both_axes(op, size_of(inputs[0]), conv_transpose_size)
    accs = [[list(op.bias.values) for _ in range(width)] for _ in range(height)]
    for ky in range(kernel_h):
        for kx in range(kernel_w):
            taps = taps_at(op, ky, kx)
            for y, row in enumerate(inputs[0]):
                for x, sample in enumerate(row):
                    at_y, at_x = y * op.stride + ky - top, x * op.stride + kx - left
                    if 0 <= at_y < height and 0 <= at_x < width:
                        add_taps(op, accs[at_y][at_x], taps, sample)
    return [[[rq(op, acc, n) for n, acc in enumerate(s)] for s in row] for row in accs]


def taps_at(op: Any, ky: int, kx: int) -> list[Any]:
    """weight[n, ky, kx, i] as a list [n][i]."""
    n_kernels, kernel_h, kernel_w, i = op.weight.shape
    begins = [((n * kernel_h + ky) * kernel_w + kx) * i for n in range(n_kernels)]
    return [op.weight.values[begin : begin + i] for begin in begins]


def add_taps(op: Any, accs: list[int], taps: list[Any], sample: list[int]) -> None:
    """Add weight[n, ky, kx, i] * in[y, x, g * I + i] over i, for each n."""
    i = op.weight.shape[3]
    parts = [sample[g * i : (g + 1) * i] for g in range(op.groups)]
    for n, weights in enumerate(taps):
        accs[n] += sum(map(mul, weights, parts[n // (len(taps) // op.groups)]))


# [op.requantise]
# > Channels: those of the input. Value: rq(in[y, x, c], c).
def port_same(op: Any, ports: list[Port]) -> Port:
    """The port of requantise."""
    return clipped_port(op, ports[0].channels)


def value_requantise(op: Any, inputs: list[Tensor]) -> Tensor:
    """Each value requantised."""
    return [[[rq(op, a, c) for c, a in enumerate(s)] for s in row] for row in inputs[0]]


# [op.lut]
# > **lut**, one input of dtype `u8` or `s8`. Field `table`. Channels: those of the input. Value:
# > table[in - b], b = 0 for u8, -128 for s8. All 256 entries must be within [lo, hi], used or not.
def port_lut(op: Any, ports: list[Port]) -> Port:
    """The port of lut."""
    need(ports[0].dtype in ("u8", "s8"), f"{op.name}: dtype of the input", "op.lut")
    op.begins = INTERVALS[ports[0].dtype][0]
    within = all(op.lo <= entry <= op.hi for entry in op.table.values)
    need(within, f"{op.name}: an entry outside [lo, hi]", "op.lut")
    return clipped_port(op, ports[0].channels)


def value_lut(op: Any, inputs: list[Tensor]) -> Tensor:
    """Each value looked up."""
    return [[[op.table.values[a - op.begins] for a in s] for s in row] for row in inputs[0]]


# [op.add]
# > **add**, two inputs of equal channels; their dtypes may differ. No fields of its own. Value:
# > clip(a + b, lo, hi).
# [op.mul]
# > **mul**, two inputs of equal channels; their dtypes may differ. Fields `multiplier`, `shift`.
# > Value: rq(a * b, c).
# [op.div]
# > The port of b must have lo >= 1. Value: clip(divide(a, b, left_shift), lo, hi),
def port_pair(op: Any, ports: list[Port]) -> Port:
    """The port of add, mul and div."""
    a, b = ports
    need(a.channels == b.channels, f"{op.name}: unequal channels", f"op.{op.kind}")
    need(op.kind != "div" or b.lo >= 1, f"{op.name}: a divisor below 1", "op.div")
    return clipped_port(op, a.channels)


def by_element(inputs: list[Tensor], formula: Callable[[int, int, int], int]) -> Tensor:
    """formula(a, b, channel) for each element of two tensors."""
    a, b = inputs
    return [
        [[formula(s[c], t[c], c) for c in range(len(s))] for s, t in zip(row, other, strict=True)]
        for row, other in zip(a, b, strict=True)
    ]


PAIRS: dict[str, Callable[[Any, int, int, int], int]] = {
    "add": lambda op, a, b, c: clip(a + b, op.lo, op.hi),
    "mul": lambda op, a, b, c: rq(op, a * b, c),
    "div": lambda op, a, b, c: clip(divide(a, b, op.left_shift), op.lo, op.hi),
}


def value_pair(op: Any, inputs: list[Tensor]) -> Tensor:
    """Sums, products or quotients."""
    return by_element(inputs, lambda a, b, c: PAIRS[op.kind](op, a, b, c))


# [op.depth_to_space]
# > Channels: those of the input, which must be a multiple of B * B, over B * B. Height: h * B.
# > Interval and dtype: those of the input. Value: out[y * B + dy, x * B + dx, c] = in[y, x, (c * B
# > + dy) * B + dx].
def port_depth_to_space(op: Any, ports: list[Port]) -> Port:
    """The port of depth_to_space."""
    area = op.block * op.block
    need(ports[0].channels % area == 0, f"{op.name}: channels and block", "op.depth_to_space")
    return ports[0]._replace(name=op.name, channels=ports[0].channels // area)


def size_depth_to_space(op: Any, sizes: list[Size]) -> Size:
    """The size rule of depth_to_space."""
    return sizes[0][0] * op.block, sizes[0][1] * op.block


def value_depth_to_space(op: Any, inputs: list[Tensor]) -> Tensor:
    """Channels c of [dy, dx] are those from dy * B + dx in steps of B * B."""
    b = op.block
    return [
        [sample[dy * b + dx :: b * b] for sample in row for dx in range(b)]
        for row in inputs[0]
        for dy in range(b)
    ]


# [op.space_to_depth]
# > The inverse: height and width must be multiples of B, height becomes h / B, channels those of
# > the input times B * B. Value: out[y, x, (c * B + dy) * B + dx] = in[y * B + dy, x * B + dx, c].
def port_space_to_depth(op: Any, ports: list[Port]) -> Port:
    """The port of space_to_depth."""
    return ports[0]._replace(name=op.name, channels=ports[0].channels * op.block * op.block)


def size_space_to_depth(op: Any, sizes: list[Size]) -> Size:
    """The size rule of space_to_depth."""
    h, w = sizes[0]
    need(h % op.block == w % op.block == 0, f"{op.name}: size and block", "op.space_to_depth")
    return h // op.block, w // op.block


def value_space_to_depth(op: Any, inputs: list[Tensor]) -> Tensor:
    """Blocks become channels."""
    (t,), b = inputs, op.block
    height, width = size_space_to_depth(op, [size_of(t)])
    steps, channels = range(b), range(len(t[0][0]))
    return [
        [
            [t[y * b + dy][x * b + dx][c] for c in channels for dy in steps for dx in steps]
            for x in range(width)
        ]
        for y in range(height)
    ]


# [op.concat]
# > **concat**, one or more inputs of equal dtype. No fields of its own. The channels of the inputs
# > in order. Interval: least lo to greatest hi of the inputs.
def port_concat(op: Any, ports: list[Port]) -> Port:
    """The port of concat."""
    need(len({port.dtype for port in ports}) == 1, f"{op.name}: unequal dtypes", "op.concat")
    channels = sum(port.channels for port in ports)
    lo, hi = min(port.lo for port in ports), max(port.hi for port in ports)
    return Port(op.name, ports[0].dtype, channels, lo, hi)


def value_concat(op: Any, inputs: list[Tensor]) -> Tensor:
    """Channels side by side."""
    return [
        [[value for sample in samples for value in sample] for samples in zip(*rows, strict=True)]
        for rows in zip(*inputs, strict=True)
    ]


# [op.slice]
# > **slice**, one input. Fields `begin`, `end`. Channels begin <= c < end. Interval and dtype:
# > those of the input.
def port_slice(op: Any, ports: list[Port]) -> Port:
    """The port of slice."""
    need(op.begin < op.end <= ports[0].channels, f"{op.name}: begin and end", "op.fields")
    return ports[0]._replace(name=op.name, channels=op.end - op.begin)


def value_slice(op: Any, inputs: list[Tensor]) -> Tensor:
    """Some channels."""
    return [[sample[op.begin : op.end] for sample in row] for row in inputs[0]]


# [op.pad]
# > Height: h + top + bottom. Value: in[y - top, x - left, c]; outside, 0 for mode `zero`, and for
# > mode `edge` in[clip(y - top, 0, h - 1), clip(x - left, 0, w - 1), c]. Interval: that of the
# > input; for `zero`, [min(lo, 0), max(hi, 0)], even where padding is 0 on all sides.
def port_pad(op: Any, ports: list[Port]) -> Port:
    """The port of pad."""
    if op.mode == "edge":
        return ports[0]._replace(name=op.name)
    return ports[0]._replace(name=op.name, lo=min(ports[0].lo, 0), hi=max(ports[0].hi, 0))


def pad_size(h: int, top: int, bottom: int) -> int:
    """Height or width of what pad makes."""
    return h + top + bottom


def value_pad(op: Any, inputs: list[Tensor]) -> Tensor:
    """Zeros, or the edge repeated."""
    (t,), (top, left, bottom, right) = inputs, op.padding
    if op.mode == "zero":
        return surround(t, op.padding)
    h, w = size_of(t)
    return [
        [t[clip(y, 0, h - 1)][clip(x, 0, w - 1)] for x in range(-left, w + right)]
        for y in range(-top, h + bottom)
    ]


# [op.crop]
# > Height: h - top - bottom, which must be at least 1. Value: in[y + top, x + left, c]. Interval
# > and dtype: those of the input.
def port_crop(op: Any, ports: list[Port]) -> Port:
    """The port of crop."""
    return ports[0]._replace(name=op.name)


def crop_size(h: int, top: int, bottom: int) -> int:
    """Height or width of what crop leaves."""
    need(h - top - bottom >= 1, "nothing is left by a crop", "op.crop")
    return h - top - bottom


def value_crop(op: Any, inputs: list[Tensor]) -> Tensor:
    """What is left."""
    top, left, _, _ = op.padding
    height, width = both_axes(op, size_of(inputs[0]), crop_size)
    return [row[left : left + width] for row in inputs[0][top : top + height]]


class Kind(NamedTuple):
    """The rules of a kind of op: how many inputs (0: one or more), and what follows from them."""

    inputs: int
    fields: tuple[str, ...]
    tensors: tuple[str, ...]
    port: Callable[[Any, list[Port]], Port]
    size: Callable[[Any, list[Size]], Size]
    value: Callable[[Any, list[Tensor]], Tensor]


def sides(rule: Callable[..., int]) -> Callable[[Any, list[Size]], Size]:
    """The size rule of one input, from the rule of a side."""
    return lambda op, sizes: both_axes(op, sizes[0], rule)


# [op.fields]
# > | `kind` | string | which op | the 13 kinds below |
KERNEL = ("weight", "bias", "multiplier", "shift")
SPAN = ("stride", "padding", "groups")
SCALE = ("multiplier", "shift")
TO_SPACE = (port_depth_to_space, size_depth_to_space, value_depth_to_space)
TO_DEPTH = (port_space_to_depth, size_space_to_depth, value_space_to_depth)
TRANSPOSE = (port_conv, sides(conv_transpose_size), value_conv_transpose)
KINDS = {
    "conv": Kind(1, SPAN, KERNEL, port_conv, sides(conv_size), value_conv),
    "conv_transpose": Kind(1, SPAN, KERNEL, *TRANSPOSE),
    "requantise": Kind(1, (), SCALE, port_same, size_equal, value_requantise),
    "lut": Kind(1, (), ("table",), port_lut, size_equal, value_lut),
    "add": Kind(2, (), (), port_pair, size_equal, value_pair),
    "mul": Kind(2, (), SCALE, port_pair, size_equal, value_pair),
    "div": Kind(2, ("left_shift",), (), port_pair, size_equal, value_pair),
    "depth_to_space": Kind(1, ("block",), (), *TO_SPACE),
    "space_to_depth": Kind(1, ("block",), (), *TO_DEPTH),
    "concat": Kind(0, (), (), port_concat, size_equal, value_concat),
    "slice": Kind(1, ("begin", "end"), (), port_slice, size_equal, value_slice),
    "pad": Kind(1, ("padding", "mode"), (), port_pad, sides(pad_size), value_pad),
    "crop": Kind(1, ("padding",), (), port_crop, sides(crop_size), value_crop),
}


# ---- 4 Programs and the overflow proof ----------------------------------------------------------
class Program(NamedTuple):
    """A program that is valid; ports by name of tensor."""

    name: str
    inputs: list[Port]
    ops: list[Any]
    outputs: list[str]
    ports: dict[str, Port]


# [program.json]
# > A program is a JSON object of exactly these fields:
# [program.inputs]
# > each an object of exactly the five fields of [port.fields](#port.fields) | at least 1 |
# [program.ops]
# > in the order in which they are computed | 0 to 1024 |
# [program.outputs]
# > tensors it gives, in order; an input may be one, and a name may occur twice | at least 1 |
def read_program(document: Any, tensors: dict[str, Array]) -> Program:
    """A program from its JSON and the tensors `program/op/field`; refused unless proved."""
    need_fields(document, {"name", "inputs", "ops", "outputs"}, "program.json")
    need_name(document["name"])
    need(is_list(document["inputs"], dict, 1), "inputs of the program", "program.inputs")
    need(is_list(document["ops"], dict) and len(document["ops"]) <= 1024, "ops", "program.ops")
    need(is_list(document["outputs"], str, 1), "outputs of the program", "program.outputs")
    program = Program(document["name"], [], [], document["outputs"], {})
    for fields in document["inputs"]:
        need_fields(fields, set(Port._fields), "program.inputs")
        program.inputs.append(Port(**fields))
        add_port(program, program.inputs[-1])
    for fields in document["ops"]:
        program.ops.append(read_op(program, fields, tensors))
    known = all(name in program.ports for name in program.outputs)
    need(known, "an output that is no tensor", "program.outputs")
    prove(program)
    return program


def is_list(value: Any, item: type, least: int = 0) -> bool:
    """A list of items of one type."""
    return type(value) is list and len(value) >= least and all(type(v) is item for v in value)


# [program.order]
# > Inputs and ops are one list of tensors. Every name in it must be new. An op reads only tensors
# > that stand before it. Ops that lead to no output are checked like all others.
def add_port(program: Program, port: Port) -> None:
    """One tensor more."""
    need_port(port)
    need(port.name not in program.ports, f"{port.name} occurs twice", "program.order")
    program.ports[port.name] = port


# [program.validity]
# > A program is valid if the clauses above hold, every op meets the rules of its kind, and every
# > derived port is a port.
def read_op(program: Program, fields: Any, tensors: dict[str, Array]) -> Any:
    """One op: its JSON fields and its tensors as attributes; its port goes to the program."""
    kind = KINDS.get(fields.get("kind")) if type(fields.get("kind")) is str else None
    need(kind is not None, f"no kind of op: {fields.get('kind')!r:.80}", "op.fields")
    clipped = ("dtype", "lo", "hi") if fields["kind"] in CLIPPED else ()
    need_fields(fields, {"kind", "name", "inputs", *kind.fields, *clipped}, "op.fields")
    need_name(fields["name"])
    for field in (*kind.fields, *clipped):
        need(FIELD_RULES[field](fields[field]), f"{fields['name']}: {field}", "op.fields")
    count = len(fields["inputs"]) if is_list(fields["inputs"], str, 1) else 0
    need(count == (kind.inputs or max(1, count)), f"{fields['name']}: inputs", "op.fields")
    known = all(name in program.ports for name in fields["inputs"])
    need(known, f"{fields['name']}: an input that does not stand before it", "program.order")
    op = SimpleNamespace(**fields)
    for field in kind.tensors:
        name = f"{program.name}/{op.name}/{field}"
        need(name in tensors, f"no tensor {name}", "model.tensors")
        setattr(op, field, tensors[name])
    need_shapes(op, kind)
    port = kind.port(op, [program.ports[name] for name in op.inputs])
    need_channels(op, kind, port)
    add_port(program, port)
    return op


# [op.fields]
# > | `weight` | s8 or s16 (N, KY, KX, I) | kernels | N 1 to 8192; KY, KX 1 to 15 |
# [op.fields]
# > | `table` | s32 (256) | a function | each within [lo, hi] |
def need_shapes(op: Any, kind: Kind) -> None:
    """Dtypes and shapes that do not depend on the port."""
    for field in kind.tensors:
        tensor = getattr(op, field)
        dtypes = ("s8", "s16") if field == "weight" else ("s32",)
        need(tensor.dtype in dtypes, f"{op.name}: dtype of {field}", "op.fields")
        need(len(tensor.shape) == (4 if field == "weight" else 1), f"{op.name}: axes", "op.fields")
    if "weight" in kind.tensors:
        n, ky, kx, i = op.weight.shape
        fits = 1 <= n <= 8192 and 1 <= ky <= 15 and 1 <= kx <= 15 and i >= 1
        need(fits, f"{op.name}: shape of weight", "op.fields")
    if "table" in kind.tensors:
        need(op.table.shape == (256,), f"{op.name}: shape of table", "op.fields")


# [op.fields]
# > | `bias` | s32 (N) | start of the sum | any that the proof allows | | `multiplier` | s32
# > (channels of the result) | of requantise | 1 to 2147483647 | | `shift` | s32 (channels of the
# > result) | of requantise | 1 to 62 |
def need_channels(op: Any, kind: Kind, port: Port) -> None:
    """One bias, multiplier and shift for each channel of the result."""
    for field in ("bias", "multiplier", "shift"):
        if field in kind.tensors:
            fits = getattr(op, field).shape == (port.channels,)
            need(fits, f"{op.name}: shape of {field}", "op.fields")
    if "multiplier" in kind.tensors:
        need(min(op.multiplier.values) >= 1, f"{op.name}: a multiplier below 1", "op.fields")
        fits = all(1 <= shift <= 62 for shift in op.shift.values)
        need(fits, f"{op.name}: a shift outside 1 to 62", "op.fields")


# [program.validity]
# > The size rules are those of the ops; when they apply says [model.sizes](#model.sizes).
def program_sizes(program: Program, sizes: list[Size]) -> dict[str, Size]:
    """Height and width of every tensor, from those of the inputs."""
    known = {port.name: size for port, size in zip(program.inputs, sizes, strict=True)}
    for op in program.ops:
        known[op.name] = KINDS[op.kind].size(op, [known[name] for name in op.inputs])
    return known


# [program.validity]
# > A tensor given to an input must have the channels of its port and values within its interval.
def run_program(program: Program, inputs: list[Tensor]) -> list[Tensor]:
    """The outputs, in order."""
    for port, tensor in zip(program.inputs, inputs, strict=True):
        samples = [sample for row in tensor for sample in row]
        fits = all(len(sample) == port.channels for sample in samples)
        fits = fits and all(port.lo <= min(s) and max(s) <= port.hi for s in samples)
        need(fits, f"what is given to {port.name} does not fit", "program.validity")
    program_sizes(program, [size_of(tensor) for tensor in inputs])
    made = {port.name: tensor for port, tensor in zip(program.inputs, inputs, strict=True)}
    for op in program.ops:
        made[op.name] = KINDS[op.kind].value(op, [made[name] for name in op.inputs])
    return [made[name] for name in program.outputs]


# [proof.bounds]
# > P, Pa, Pb are the magnitudes of the inputs' ports.
# [proof.bounds]
# > | conv, conv_transpose | accumulator of channel n | A = abs(bias[n]) + P * sum over ky, kx, i of
# > abs(weight[n, ky, kx, i]) | 2^31 | | conv, conv_transpose | product | A * multiplier[n] +
# > 2^(shift[n] - 1) | 2^63 | | requantise | product | P * multiplier[c] + 2^(shift[c] - 1) | 2^63 |
# > | add | accumulator | Pa + Pb | 2^31 | | mul | accumulator | A = Pa * Pb | 2^31 | | mul |
# > product | A * multiplier[c] + 2^(shift[c] - 1) | 2^63 | | div | product | 2 * Pa * 2^left_shift
# > + Pb | 2^63 |
def op_bounds(op: Any, ports: list[Port], channels: int) -> dict[str, list[int]]:
    """By quantity: the bound of each channel."""
    p = [port.magnitude for port in ports]
    if op.kind in ("conv", "conv_transpose"):
        _, ky, kx, i = op.weight.shape
        size = ky * kx * i
        acc = [
            abs(op.bias.values[n])
            + p[0] * sum(map(abs, op.weight.values[n * size : (n + 1) * size]))
            for n in range(channels)
        ]
        return {"accumulator": acc, "product": product_bounds(op, acc)}
    if op.kind == "requantise":
        return {"product": product_bounds(op, [p[0]] * channels)}
    if op.kind == "add":
        return {"accumulator": [p[0] + p[1]] * channels}
    if op.kind == "mul":
        acc = [p[0] * p[1]] * channels
        return {"accumulator": acc, "product": product_bounds(op, acc)}
    if op.kind == "div":
        return {"product": [2 * p[0] * 2**op.left_shift + p[1]] * channels}
    return {}


def product_bounds(op: Any, acc: list[int]) -> list[int]:
    """What is shifted at most, by channel."""
    scale = zip(acc, op.multiplier.values, op.shift.values, strict=True)
    return [a * multiplier + 2 ** (shift - 1) for a, multiplier, shift in scale]


# [proof.bounds]
# > The other kinds have none. The `bound` lines in section 3 show the greatest over the channels,
# > and the first channel that has it.
def bounds(program: Program) -> list[tuple[str, int, str, int]]:
    """(op, channel, quantity, bound) for every quantity."""
    found = []
    for op in program.ops:
        ports = [program.ports[name] for name in op.inputs]
        by_quantity = op_bounds(op, ports, program.ports[op.name].channels)
        for quantity, values in by_quantity.items():
            found.append((op.name, values.index(max(values)), quantity, max(values)))
    return found


# [proof.bounds]
# > A decoder must compute these bounds for every op and every channel, from the ports and
# > parameters alone, and refuse the program (BoundError) where one reaches its limit.
LIMITS = {"accumulator": 2**31, "product": 2**63}


def prove(program: Program) -> None:
    """Refuse a program that could overflow."""
    for op, channel, quantity, bound in bounds(program):
        message = f"{program.name}/{op}: {quantity} of channel {channel} may reach {bound}"
        need(bound < LIMITS[quantity], message, "proof.bounds", BoundError)


# ---- 5 Tables -----------------------------------------------------------------------------------
# [table.entries]
# > A table has a first symbol `minimum` and a list `cdf` of n + 2 integers, n >= 1, with 0 = cdf[0]
# > < cdf[1] < ... < cdf[n + 1] = 65536. *Entry* k, 0 <= k <= n, has the interval [cdf[k], cdf[k +
# > 1]). Entries below n are the symbols minimum + k. Entry n is the *escape*,
class Table(NamedTuple):
    """One distribution."""

    minimum: int
    cdf: list[int]


def make_table(minimum: int, inner: list[int]) -> Table:
    """A table from cdf[1] to cdf[n]."""
    cdf = [0, *inner, 65536]
    increases = all(a < b for a, b in pairwise(cdf))
    need(increases, "a cdf that does not increase", "table.entries", TableError)
    # [table.support]
    # > minimum >= -32768 and minimum + n - 1 <= 32767.
    fits = minimum >= -32768 and minimum + len(inner) - 1 <= 32767
    need(fits, "symbols past 16 bits", "table.support", TableError)
    return Table(minimum, cdf)


# [table.bytes]
# > A set of tables has 1 to 65535 of them and is written as follows, nothing before, between or
# > after:
# [table.bytes.sum_n]
# > `sum_n` | 4, little-endian | sum of all n | sum_n + 2 * T <= 4194304 |
# [table.bytes.cdf]
# > `cdf` | 2 * sum_n, little-endian | cdf[1] to cdf[n] of the first table, then of the next |
# [table.bytes]
# > cdf[0] = 0 and cdf[n + 1] = 65536 are not written. The whole has 8 + 4 * T + 2 * sum_n bytes;
# > any other length is refused.
def read_tables(data: bytes) -> list[Table]:
    """Tables from their bytes."""
    need(len(data) >= 8, "no header of tables", "table.bytes", TableError)
    need(data[0] == 1, "version of tables", "table.bytes.version", TableError)
    need(data[1] == 0, "reserved byte of tables", "table.bytes.reserved", TableError)
    count, sum_n = number(data[2:4]), number(data[4:8])
    need(count >= 1, "no tables", "table.bytes.n_tables", TableError)
    need(sum_n + 2 * count <= 4194304, "too many entries", "table.bytes.sum_n", TableError)
    fits = len(data) == 8 + 4 * count + 2 * sum_n
    need(fits, "length of tables", "table.bytes", TableError)
    halves = [number(data[i : i + 2]) for i in range(8 + 2 * count, len(data), 2)]
    minima, sizes, cdfs = unpack("s16", data[8 : 8 + 2 * count]), halves[:count], halves[count:]
    # [table.bytes.n]
    # > `n` | 2 * T, little-endian | n of each table | 1 to 65535, their sum is sum_n |
    need(min(sizes) >= 1 and sum(sizes) == sum_n, "n of tables", "table.bytes.n", TableError)
    tables, begin = [], 0
    for minimum, n in zip(minima, sizes, strict=True):
        tables.append(make_table(minimum, cdfs[begin : begin + n]))
        begin += n
    return tables


# ---- 6 Range coder ------------------------------------------------------------------------------
# [coder.escape]
# > A bit is coded with the interval [0, 32768) for 0 and [32768, 65536) for 1.
BIT = [0, 32768, 65536]


class Lane:
    """The decoder of one lane."""

    # [coder.decode]
    # > Past the end of the lane it reads zeros. State: value = the first 62 bits of the lane, most
    # > significant first, range = 2^62, and a *window*: the 62 bits from the current word on, at
    # > first from word 0.
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.moves = 0  # p of [coder.end], the number of the current word
        self.value = self.window()
        self.range = 2**62

    # [coder.lane-bytes]
    # > The lane is its words, each big-endian (most significant byte first), without the zero bytes
    # > at its end.
    def bits(self, begin: int, count: int) -> int:
        """Bits of the lane, zeros past its end; bit 0 is the most significant of byte 0."""
        first, last = begin // 8, ceil_div(begin + count, 8)
        chunk = self.data[first:last].ljust(last - first, b"\0")
        return (int.from_bytes(chunk, "big") >> (last * 8 - begin - count)) % 2**count

    def window(self) -> int:
        """The 62 bits from the current word on."""
        return self.bits(32 * self.moves, 62)

    # [coder.decode]
    # > For a table: scale = range >> 16, quantile = value // scale. quantile must be below 65536.
    # > The entry k is the one with cdf[k] <= quantile < cdf[k + 1]. Then value = value - scale *
    # > cdf[k], range = scale * (cdf[k + 1] - cdf[k]).
    def entry(self, cdf: list[int]) -> int:
        """The next entry."""
        scale = self.range >> 16
        quantile = self.value // scale
        if quantile >= 65536:
            raise PayloadError("a value outside every interval", "coder.decode")
        k = bisect_right(cdf, quantile) - 1
        self.value -= scale * cdf[k]
        self.range = scale * (cdf[k + 1] - cdf[k])
        self.refill()
        return k

    # [coder.refill]
    # > If range < 2^30 after that: value = value * 2^32 + the 32 bits that follow the window, range
    # > = range * 2^32, and the window moves on by one word (32 bits).
    def refill(self) -> None:
        """One word more where the range is small."""
        if self.range < 2**30:
            self.value = self.value * 2**32 + self.bits(32 * self.moves + 62, 32)
            self.range *= 2**32
            self.moves += 1

    # [coder.escape]
    # > A symbol in [minimum, minimum + n) is coded as its entry. Any other symbol in [-32768,
    # > 32767] is coded as the escape, entry n of its table, followed by bits: first 1 if the symbol
    # > is below minimum, else 0; then the Exp-Golomb code of order 0 of its *excess*, which is
    # > minimum - 1 - symbol or symbol - minimum - n.
    def symbol(self, table: Table) -> int:
        """The next symbol."""
        n = len(table.cdf) - 2
        k = self.entry(table.cdf)
        if k < n:
            return table.minimum + k
        below = self.entry(BIT)
        excess = self.exp_golomb()
        symbol = table.minimum - 1 - excess if below else table.minimum + n + excess
        if not -32768 <= symbol <= 32767:
            raise PayloadError(f"symbol {symbol}", "coder.escape")
        return symbol

    # [coder.escape]
    # > That code is the binary digits of excess + 1, most significant first, after as many zeros as
    # > there are digits less one. A decoder refuses more than 15 zeros, and a symbol outside
    # > [-32768, 32767].
    def exp_golomb(self) -> int:
        """An excess."""
        zeros = 0
        while self.entry(BIT) == 0:
            zeros += 1
            need(zeros <= 15, "more than 15 zeros", "coder.escape", PayloadError)
        digits = 1
        for _ in range(zeros):
            digits = 2 * digits + self.entry(BIT)
        return digits - 1

    # [coder.end]
    # > After the last symbol, with p the number of times the window moved: low = (window - value)
    # > mod 2^62 and final as in [coder.final](#coder.final), modulo 2^62. A decoder refuses the
    # > lane unless window = final, the lane has at most 4 * (p + 1) bytes, and its last byte is not
    # > zero.
    def end(self) -> None:
        """Refuse a lane that no encoder writes."""
        final = final_number((self.window() - self.value) % 2**62, self.range) % 2**62
        need(self.window() == final, "bytes that are not final", "coder.end", PayloadError)
        fits = len(self.data) <= 4 * (self.moves + 1)
        need(fits, "bytes after the end of a lane", "coder.end", PayloadError)
        need(self.data[-1:] != b"\0", "a zero byte at the end of a lane", "coder.end", PayloadError)


# [coder.final]
# > *final* is the one number in [low, low + range) that is a multiple of the greatest power of two.
def final_number(low: int, size: int) -> int:
    """final of [low, low + size)."""
    for power in range(63, -1, -1):
        candidate = ceil_div(low, 2**power) * 2**power
        if candidate < low + size:
            return candidate
    raise AssertionError("an empty interval")


# [coder.lanes]
# > Where it says nothing else, L = lanes_for(number of symbols): 2 from 65536 symbols on, else 1.
def lanes_for(symbols: int) -> int:
    """Number of lanes."""
    return 2 if symbols >= 65536 else 1


# [coder.length]
# > A length is little-endian in base 128: 7 bits a byte, bit 7 set where another byte follows. At
# > most 5 bytes. The last byte is not zero unless it is the only one.
def read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    length = 0
    for i in range(5):
        need(at + i < len(data), "a length is cut", "coder.length", PayloadError)
        byte = data[at + i]
        length += (byte & 127) << (7 * i)
        if byte < 128:
            need(byte != 0 or i == 0, "a length with a zero byte", "coder.length", PayloadError)
            return length, at + i + 1
    raise PayloadError("a length of more than 5 bytes", "coder.length")


# [coder.payload]
# > The payload is the lengths in bytes of lanes 0 to L - 2, then the bytes of lanes 0 to L - 1. The
# > last lane ends with the payload. One lane is its own payload. A length that exceeds the bytes
# > that follow is refused.
def split_payload(payload: bytes, lanes: int) -> list[bytes]:
    """The lanes of a payload."""
    lengths, at = [], 0
    for _ in range(lanes - 1):
        length, at = read_length(payload, at)
        lengths.append(length)
    parts = []
    for length in lengths:
        need(length <= len(payload) - at, "a lane is cut", "coder.payload", PayloadError)
        parts.append(payload[at : at + length])
        at += length
    return [*parts, payload[at:]]


# [coder.lanes]
# > A payload of L lanes, 1 <= L <= 8, codes symbol i (from 0) in lane i mod L. Lanes have separate
# > states.
class Payload:
    """A payload that is decoded symbol by symbol."""

    def __init__(self, payload: bytes, lanes: int) -> None:
        self.states = [Lane(data) for data in split_payload(payload, lanes)]
        self.decoded = 0

    def symbol(self, table: Table) -> int:
        """The next one."""
        i, lanes, states = self.decoded, len(self.states), self.states
        self.decoded += 1
        return states[i % lanes].symbol(table)

    def end(self) -> None:
        """After the last one."""
        for state in self.states:
            state.end()


def decode_payload(
    payload: bytes, tables: list[Table], indexes: list[int], lanes: int | None = None
) -> list[int]:
    """The symbols of a payload; `indexes` has the table of each."""
    reader = Payload(payload, lanes or lanes_for(len(indexes)))
    symbols = [reader.symbol(tables[index]) for index in indexes]
    reader.end()
    return symbols


# ---- 7 Model file .inm --------------------------------------------------------------------------
# [model.header]
# > A key that occurs twice in an object is refused, and so are unpaired surrogates.
# [model.canonical]
# > keys once each,
def parse_json(text: str, clause: str, **numbers: Callable[[str], Any]) -> Any:
    """JSON, strictly; `numbers` are how integers and other numbers are read."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(items)) == len(items), "a key that occurs twice", clause)
        return dict(items)

    def constant(word: str) -> NoReturn:
        raise ModelError(f"{word} is no JSON", clause)

    def integer(digits: str) -> int:
        need(len(digits.lstrip("-")) <= 4300, "more than 4300 digits", clause)
        return int(digits)

    try:
        rules = {"object_pairs_hook": pairs, "parse_constant": constant, "parse_int": integer}
        return json.loads(text, **(rules | numbers))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"not JSON: {error}", clause) from None


def need_characters(text: str, clause: str) -> None:
    """Text that UTF-8 can say: no unpaired surrogates."""
    need(not any("\ud800" <= c <= "\udfff" for c in text), "an unpaired surrogate", clause)


# [model.canonical]
# > | white space | none, outside strings | | objects | keys once each, sorted by Unicode code point
# > | | strings | `\"` and `\\` for these two; `\b` `\f` `\n` `\r` `\t` for U+0008, U+000C, U+000A,
# > U+000D, U+0009; `\u00xx`, lower-case digits, for the others below U+0020; every other character
# > as itself in UTF-8. No unpaired surrogates | | integers | decimal digits, `-` before negative
# > ones, no leading zeros, no `-0`; at most 4300 digits | | other numbers | binary64, the fewest
# > digits that give it back.
def canonical(value: Any, level: int = 1) -> str:
    """The one spelling of a JSON value."""
    # [model.canonical]
    # > | nesting | at most 100 objects and lists inside one another, the document included |
    need(type(value) not in (dict, list) or level <= 100, "nested too deep", "model.canonical")
    if type(value) is dict:
        items = (f"{spell(k)}:{canonical(value[k], level + 1)}" for k in sorted(value))
        return "{" + ",".join(items) + "}"
    if type(value) is list:
        return "[" + ",".join(canonical(item, level + 1) for item in value) + "]"
    if type(value) is str:
        return spell(value)
    if type(value) is float:
        need(abs(value) < float("inf"), "infinity", "model.canonical")
        return repr(value)  # Python's spelling of binary64 is that of the clause
    # [model.canonical]
    # > | words | `true`, `false`, `null` |
    words = {True: "true", False: "false", None: "null"}
    return str(value) if type(value) is int else words[value]


ESCAPES = {'"': '\\"', "\\": "\\\\"}
ESCAPES.update({"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def spell(text: str) -> str:
    """The one spelling of a string."""
    spelled = [ESCAPES.get(c) or (c if c >= " " else f"\\u{ord(c):04x}") for c in text]
    return '"' + "".join(spelled) + '"'


# [model.document]
# > The document is a JSON object of exactly these fields:
# [model.canonical]
# > The document is in canonical form; any other spelling of the same JSON is refused.
# [model.order]
# > only there with a context |
def read_document(text: str) -> Any:
    """The document of a model, but for its programs."""
    document = parse_json(text, "model.canonical")
    need(canonical(document) == text, "another spelling of the document", "model.canonical")
    known = type(document) is dict and type(document.get("programs")) is list
    family = family_of(document["programs"]) if known else None
    order = {"order"} if family == FAMILIES[2] else set()
    fields = {"format", "programs", "scaling", "metadata"} | order
    need_fields(document, fields, "model.document")
    need(is_integer(document["format"], 1, 2), "version of the model", "model.format")
    need(type(document["metadata"]) is dict, "metadata", "model.metadata")
    need(is_list(document["programs"], dict), "programs", "model.programs")
    need_format(document["format"], family, document["programs"])
    if order:
        need_order(document["order"])
    # [model.scaling]
    # > exactly `gain_shift`, `inverse_shift`, `index_shift`
    need_fields(document["scaling"], set(SCALING_SHIFTS), "model.scaling")
    for name, (lo, hi) in SCALING_SHIFTS.items():
        need(is_integer(document["scaling"][name], lo, hi), name, f"model.scaling.{name}")
    return document


# [model.families]
# > The set of programs says how latents are coded. There are three, each in this order:
# > | family | programs | |---|---| | factorized prior | `analysis`, `synthesis` | | hyperprior |
# > `analysis`, `hyper_analysis`, `prior`, `synthesis` | | context | `analysis`, `hyper_analysis`,
# > `prior`, `context`, `synthesis` |
FAMILIES = (
    ["analysis", "synthesis"],
    ["analysis", "hyper_analysis", "prior", "synthesis"],
    ["analysis", "hyper_analysis", "prior", "context", "synthesis"],
)


def family_of(programs: list[Any]) -> list[str] | None:
    """Names of the programs of a document, where they are those of a family."""
    names = [program.get("name") if type(program) is dict else None for program in programs]
    return names if names in FAMILIES else None


# [model.families]
# > A model of format 1 is a hyperprior.
# [model.format]
# > `format` | integer | version of the model format | 1 for a hyperprior whose prior makes mean and
# > index, 2 for every other model |
def need_format(version: int, family: list[str] | None, programs: list[Any]) -> None:
    """The programs of a family, and the version of the format that has it."""
    if version == 1:
        need(len(programs) == 4, "a model of format 1 has four programs", "model.programs")
        return  # the rest says need_interfaces
    need(family is not None, "programs of no family", "model.families")
    two = family == FAMILIES[1] and is_list(programs[2].get("outputs"), str, 2)
    need(not two, "a model of format 1 says format 2", "model.format")


# [model.order]
# > `order` | string or list | which latents are coded when, [model.steps](#model.steps);
# [model.order]
# > `"serial"`, or a list |
# [model.steps]
# > An `order` that is a list has two lists of two lists of G integers each, G 1 to 16;
# [model.steps]
# > Steps are 0 to S - 1, S at most 16, and each of them occurs.
def need_order(order: Any) -> None:
    """An order by itself."""
    if order == "serial":
        return
    need(type(order) is list, "order", "model.order")
    pairs = len(order) == 2 and all(is_list(row, list) and len(row) == 2 for row in order)
    need(pairs, "order is not two lists of two", "model.steps")
    cells = [groups for row in order for groups in row]
    fits = 1 <= len(cells[0]) <= 16 and all(len(groups) == len(cells[0]) for groups in cells)
    need(fits, "groups of order", "model.steps")
    steps = [step for groups in cells for step in groups]
    need(all(is_integer(step, 0, 15) for step in steps), "a step of order", "model.steps")
    need(set(steps) == set(range(max(steps) + 1)), "a step that is not there", "model.steps")


# [model.steps]
# > The latent at row, column and channel c of a tile, counted from the tile's top left, is coded in
# > *step* `order[row % 2][column % 2][c * G // M]`.
def step_of(order: list[list[list[int]]], row: int, column: int, c: int, m: int) -> int:
    """When a latent is coded."""
    groups = order[row % 2][column % 2]
    return groups[c * len(groups) // m]


# [model.scaling.gain_shift]
# > `gain_shift` | integer | shift of gain. Encoders only | 16 to 40 |
# [model.scaling.inverse_shift]
# > `inverse_shift` | integer | shift of inverse_gain | 1 to 30 |
# [model.scaling.index_shift]
# > `index_shift` | integer | shift of table indexes | 1 to 15 |
SCALING_SHIFTS = {"gain_shift": (16, 40), "inverse_shift": (1, 30), "index_shift": (1, 15)}


# [model.header]
# > Numbers are 1 to 19 decimal digits.
def header_number(digits: str) -> int:
    """A number of the header."""
    need(re.fullmatch("[0-9]{1,19}", digits) is not None, "a number", "model.header")
    return int(digits)


HEADER_NUMBERS = {"parse_int": header_number, "parse_float": header_number}


# [model.file]
# > A model file is a safetensors file of at most 268435456 bytes:
# [model.file.header_size]
# > header size | 8, little-endian | bytes of the header, H | 2 to file size - 8, at most 16777216 |
# [model.file.header]
# > header | H | a JSON object in UTF-8 that begins with `{`; after its end spaces (20) alone |
def read_header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header as JSON, and the bytes of the tensors."""
    need(8 <= len(data) <= 268435456, "size of the file", "model.file")
    size = number(data[:8])
    fits = 2 <= size <= min(len(data) - 8, 16777216)
    need(fits, "size of the header", "model.file.header_size")
    try:
        text = data[8 : 8 + size].decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError("the header is not UTF-8", "model.file.header") from None
    text = text.rstrip(" ")
    need(text.startswith("{") and text.endswith("}"), "no object", "model.file.header")

    return parse_json(text, "model.header", **HEADER_NUMBERS), data[8 + size :]


# [model.header.shape]
# > sizes of the axes | 1 to 4 of them, each at least 1;
def need_type(name: str, entry: Any) -> tuple[str, tuple[int, ...], int]:
    """dtype, shape and bytes of a tensor."""
    need_characters(name, "model.header")
    known = type(entry["dtype"]) is str and entry["dtype"] in IN_SAFETENSORS
    need(known, f"{name!r:.80}: dtype", "model.header.dtype")
    axes = is_list(entry["shape"], int, 1) and len(entry["shape"]) <= 4
    need(axes and min(entry["shape"]) >= 1, f"{name!r:.80}: shape", "model.header.shape")
    dtype, size = IN_SAFETENSORS[entry["dtype"]], 1
    for side in entry["shape"]:
        size *= side
    return dtype, tuple(entry["shape"]), size * BYTES[dtype]


# [model.header]
# > The header maps the name of each tensor to an object, and `__metadata__` to an object of
# > strings.
# [model.header.data_offsets]
# > bytes of the tensor, counted from the start of the data | end - begin = product of the shape *
# > bytes of the dtype |
# [model.header]
# > Tensors sorted by begin cover the data: the first begins at 0, each next one where the one
# > before ends, the last ends with the file.
def read_tensors(entries: dict[str, Any], data: bytes) -> dict[str, Array]:
    """Every tensor of the file, with its bytes as they are."""
    tensors, spans = {}, []
    for name, entry in entries.items():
        need_fields(entry, {"dtype", "shape", "data_offsets"}, "model.header")
        dtype, shape, size = need_type(name, entry)
        offsets = is_list(entry["data_offsets"], int, 2) and len(entry["data_offsets"]) == 2
        need(offsets, f"{name!r:.80}: data_offsets", "model.header.data_offsets")
        begin, end = entry["data_offsets"]
        good = 0 <= begin <= end <= len(data) and end - begin == size
        need(good, f"{name!r:.80}: data_offsets", "model.header.data_offsets")
        spans.append((begin, end))
        tensors[name] = Array(dtype, shape, data[begin:end])
    reached = 0
    for begin, end in sorted(spans):
        need(begin == reached, "a gap or an overlap", "model.header")
        reached = end
    need(reached == len(data), "bytes that belong to no tensor", "model.header")
    return tensors


# [model.packed.tables]
# > Scale table s, 0 <= s <= 17, has minimum -128 and n = 256: with w(k) = 2^46 // (2^s + 16 * k *
# > k)^2 for k from -128 to 127, cdf[j] is j + 65279 * (w(-128) + ... + w(j - 129)) // (w(-128) +
# > ... + w(127)) for j up to 256 (so cdf[0] is 0), and cdf[257] = 65536.
def scale_table(s: int) -> Table:
    """Numbers of one scale."""
    upto = [0]
    for k in range(-128, 128):
        upto.append(upto[-1] + 2**46 // (2**s + 16 * k * k) ** 2)
    return Table(-128, [*(j + 65279 * upto[j] // upto[256] for j in range(257)), 65536])


# [model.packed.tables]
# > Bit table b, 1 <= b <= 8, has minimum 0 and n = 2^b: cdf[j] = j * 65535 >> b for j up to 2^b,
# > and 65536 after it.
def bit_table(b: int) -> Table:
    """Numbers of b bits."""
    return Table(0, [*(j * 65535 >> b for j in range(2**b + 1)), 65536])


# [model.packed.forms]
# > follows(a, b) is (a * a + (b >> 1)) // b for b >= 1, else a.
def follows(a: int, b: int) -> int:
    """What comes after b and a in a geometric series."""
    return (a * a + (b >> 1)) // b if b >= 1 else a


# [model.packed.forms]
# > reciprocal(c) is (2^(t + 1) + c) // (2 * c), with t = 30 + the number of binary digits of c - 1
# > (0 has none).
def reciprocal(c: int) -> int:
    """2^t / c, rounded."""
    return (2 ** (31 + (c - 1).bit_length()) + c) // (2 * c)


class Packed(Payload):
    """The payload of a packed file, symbol by symbol."""

    # [model.packed.payload]
    # > The payload has two lanes. It codes the tensors one after the other, names ascending as
    # > bytes; for each one, in this order: the parameters, the exponents of rows, the exponents of
    # > columns, the numbers. It must be a valid payload, [coder.end](#coder.end), of exactly these
    # > symbols.
    def __init__(self, data: bytes) -> None:
        super().__init__(data, 2)
        self.scales = [scale_table(s) for s in range(18)]
        self.bit_tables = [bit_table(b) for b in range(1, 9)]

    # [model.packed.tables]
    # > A symbol of a bit table is a number of b bits; its escape is refused.
    def bits(self, b: int) -> int:
        """A number of b bits."""
        value = self.symbol(self.bit_tables[b - 1])
        need(0 <= value < 2**b, "an escape among bits", "model.packed.tables")
        return value

    # [model.packed.exponents]
    # > Every row has an exponent and every column has one, each from -64 to 63. They are coded as
    # > steps: the exponent less the one before it, the first one less 0.
    def exponents(self, count: int, scale: int) -> list[int]:
        """Of rows, or of columns."""
        exponents, last = [], 0
        for _ in range(count):
            last += self.symbol(self.scales[scale])
            exponents.append(last)
        fits = all(-64 <= exponent <= 63 for exponent in exponents)
        need(fits, "an exponent", "model.packed.exponents")
        return exponents

    # [model.packed.numbers]
    # > The number at row r and column c has the exponent e = clip(row exponent + column exponent,
    # > 0, 63), l = max(0, (e - 16) >> 1) low bits, and the scale table e - 2 * l. A number v is
    # > coded as the symbol v >> l with that table, and its low bits v mod 2^l.
    # [model.packed.numbers]
    # > In a run, first the symbols of all its numbers; then, as long as any has low bits left, for
    # > each that has, in order: its next min(8, bits left) bits, most significant first, with the
    # > bit table of so many bits.
    def run(self, sums: list[int]) -> list[int]:
        """Numbers, from the sums of their exponents."""
        exponents = [clip(e, 0, 63) for e in sums]
        left = [max(0, (e - 16) >> 1) for e in exponents]
        values = [
            self.symbol(self.scales[e - 2 * low]) for e, low in zip(exponents, left, strict=True)
        ]
        while any(left):
            for i in [i for i, low in enumerate(left) if low]:
                b = min(8, left[i])
                values[i] = (values[i] << b) + self.bits(b)
                left[i] -= b
        return values

    # [model.packed.grid]
    # > A tensor of one axis has C = 16 columns, any other C = the product of all axes but the
    # > first. Element i is in row i // C and column i % C; there are ceil(number of elements / C)
    # > rows. At most 4194304 rows and 4194304 columns.
    # [model.packed.parameters]
    # > The parameters of a tensor: its form (a number of 3 bits, at most 5), the scale of row
    # > steps, the scale of column steps (5 bits each, at most 17).
    # [model.packed.numbers]
    # > Numbers come in runs of max(1, 65536 // C) whole rows, the last run with what there is.
    def numbers(self, shape: tuple[int, ...]) -> tuple[int, list[int]]:
        """Form and numbers of a tensor."""
        size = 1
        for side in shape:
            size *= side
        c = size // shape[0] if len(shape) > 1 else 16
        rows = ceil_div(size, c)
        need(max(rows, c) <= 4194304, "rows or columns", "model.packed.grid")
        form, row_scale, column_scale = self.bits(3), self.bits(5), self.bits(5)
        need(form <= 5, f"form {form}", "model.packed.parameters")
        need(max(row_scale, column_scale) <= 17, "scale of steps", "model.packed.parameters")
        # [model.packed.forms]
        # > For forms but 0 it has at most 1048576 elements (numbers of 16 bits, where it is coded
        # > as such).
        # [model.packed.forms]
        # > Two axes or more, the first at most 64 |
        need(form == 0 or size <= 1048576, "form of a large tensor", "model.packed.forms")
        few = form != 4 or (len(shape) > 1 and shape[0] <= 64)
        need(few, "form 4 of this shape", "model.packed.forms")
        row = self.exponents(rows, row_scale)
        column = self.exponents(c, column_scale)
        values: list[int] = []
        at_once = max(1, 65536 // c)
        for r in range(0, rows, at_once):
            sums = [a + b for a in row[r : r + at_once] for b in column]
            values += self.run(sums[: size - r * c])
        return form, values


# [model.packed.forms]
# > Every element of every tensor, and in form 4 every x, must be within its dtype (0 to 65535 for
# > numbers of 16 bits).
def need_within(values: list[int], lo: int, hi: int) -> None:
    """Values within an interval."""
    fits = lo <= min(values) and max(values) <= hi
    need(fits, "an element outside its dtype", "model.packed.forms")


# [model.packed.forms]
# > | 0 | x = d | | 1, 2, 3 | sums: x[i] = x[i - 1] + d[i], with x[-1] = 0, is done once, twice,
# > three times, each time with the result for d | | 4 | x[0] = d[0]; x[1] = x[0] + d[1]; then x[i]
# > = d[i] + follows(x[i - 1], x[i - 2]).
# [model.packed.forms]
# > | 5 | x = reciprocal(d); every d is within [1, 2147483647] |
def elements_of(form: int, d: list[int], slice_size: int, lo: int, hi: int) -> list[int]:
    """The elements that numbers give; slice_size: elements of a slice along the first axis."""
    x = list(d)
    if form in (1, 2, 3):
        for _ in range(form):
            for i in range(slice_size, len(x)):
                x[i] += x[i - slice_size]
    elif form == 4:
        for i in range(slice_size, len(x)):
            a = x[i - slice_size]
            need_within([a], lo, hi)
            x[i] += a if i < 2 * slice_size else follows(a, x[i - 2 * slice_size])
    elif form == 5:
        within = all(1 <= value <= 2147483647 for value in x)
        need(within, "the reciprocal of another number", "model.packed.forms")
        x = [reciprocal(value) for value in x]
    need_within(x, lo, hi)
    return x


def packed_tensor(payload: Packed, dtype: str, shape: tuple[int, ...]) -> Array:
    """The next tensor, with its bytes as in a file that is not packed."""
    # [model.packed.grid]
    # > A `U8` tensor of one axis and an even number of elements is coded as half as many unsigned
    # > numbers of 16 bits, little-endian, in place of its bytes. Any other is coded as its
    # > elements.
    pairs = dtype == "u8" and len(shape) == 1 and shape[0] % 2 == 0
    form, d = payload.numbers((shape[0] // 2,) if pairs else shape)
    lo, hi = (0, 65535) if pairs else INTERVALS[dtype]
    x = elements_of(form, d, 1 if len(shape) == 1 else len(d) // shape[0], lo, hi)
    size = 2 if pairs else BYTES[dtype]
    data = b"".join(value.to_bytes(size, "little", signed=lo < 0) for value in x)
    return Array(dtype, shape, data)


# [model.packed]
# > `__metadata__.packed` is then a string, itself JSON read as strictly as the header: an object of
# > exactly `version`, which is 1, and `tensors`, which maps the name of each tensor to an object of
# > exactly its `dtype` and `shape`, with the same rules as in the header. There are at most 32768
# > of them. The header has one tensor beside `__metadata__`: `packed`, `U8`, of one axis, whose
# > bytes are the payload.
def read_packed(text: Any, stored: dict[str, Array]) -> dict[str, Array]:
    """The tensors of a packed file, with their bytes as in one that is not."""
    good = set(stored) == {"packed"} and stored["packed"].dtype == "u8"
    need(good and len(stored["packed"].shape) == 1, "the tensor of a packed file", "model.packed")
    need(type(text) is str, "`packed` is no string", "model.packed")
    found = parse_json(text, "model.packed", **HEADER_NUMBERS)
    need_fields(found, {"tensors", "version"}, "model.packed")
    need(is_integer(found["version"], 1, 1), "version of packed tensors", "model.packed")
    need(type(found["tensors"]) is dict, "packed tensors", "model.packed")
    need(len(found["tensors"]) <= 32768, "number of packed tensors", "model.packed")
    types = {}
    for name, entry in found["tensors"].items():
        need_fields(entry, {"dtype", "shape"}, "model.packed")
        types[name] = need_type(name, entry)
    data = stored["packed"].values
    # [model.packed.size]
    # > The tensors together have at most 268435456 bytes, and at most 256 for each byte of the
    # > payload and 1048576 more.
    total = sum(size for _, _, size in types.values())
    fits = total <= min(268435456, 256 * len(data) + 1048576)
    need(fits, "bytes of packed tensors", "model.packed.size")
    try:
        payload, tensors = Packed(data), {}
        for name in sorted(types, key=lambda name: name.encode("utf-8")):
            tensors[name] = packed_tensor(payload, *types[name][:2])
        payload.end()
    except PayloadError as error:
        raise ModelError(f"packed: {error.message}", error.clause) from None
    return tensors


# [model.hash]
# > The identity of a model is the SHA-256 of these bytes, and `sha256` must state it: the document
# > in UTF-8; then for each tensor, names ascending as bytes: a line feed (0a), name, space, dtype
# > as hashed ([term.types](#term.types)), space, shape as decimal numbers with `x` between, a line
# > feed, and the bytes of the tensor as in the data of a file that is not packed.
def model_hash(document: bytes, tensors: dict[str, Array]) -> bytes:
    """The SHA-256 of a model."""
    digest = hashlib.sha256(document)
    for name in sorted(tensors, key=lambda name: name.encode("utf-8")):
        dtype, shape, data = tensors[name]
        line = f"\n{name} {HASHED_AS[dtype]} {'x'.join(map(str, shape))}\n"
        digest.update(line.encode("utf-8"))
        digest.update(data)
    return digest.digest()


class Model(NamedTuple):
    """A model that is accepted."""

    sha256: bytes
    programs: dict[str, Program]
    scaling: dict[str, Any]
    y_tables: list[Table]
    z_tables: list[Table]
    order: Any

    # [model.id]
    # > The *model id* is the first 8 bytes of the SHA-256.
    @property
    def id(self) -> bytes:
        """What a stream names it by."""
        return self.sha256[:8]


# [model.refuse]
# > A decoder checks all of section 7, and with it sections 3 to 5 for all programs and all tables,
# > before it decodes with a model.
def read_model(data: bytes) -> Model:
    """A model from the bytes of its file."""
    header, body = read_header(data)
    # [model.header]
    # > Objects have exactly the fields below.
    metadata = header.pop("__metadata__", None)
    # [model.header.sha256]
    # > A file may be *packed*, [model.packed](#model.packed): then `__metadata__` has one field
    # > more.
    packed = type(metadata) is dict and "packed" in metadata
    fields = {"intnet", "sha256", "packed"} if packed else {"intnet", "sha256"}
    need_fields(metadata, fields, "model.header")
    need(type(metadata["intnet"]) is str, "no document", "model.header.intnet")
    need(type(metadata["sha256"]) is str, "no hash", "model.header.sha256")
    need_characters(metadata["intnet"], "model.header")
    raw = read_tensors(header, body)
    if packed:
        raw = read_packed(metadata["packed"], raw)
    sha256 = model_hash(metadata["intnet"].encode("utf-8"), raw)
    need(metadata["sha256"] == sha256.hex(), "the hash is another", "model.hash")
    document = read_document(metadata["intnet"])
    tensors = {name: t._replace(values=unpack(t.dtype, t.values)) for name, t in raw.items()}
    programs = [read_program(program, tensors) for program in document["programs"]]
    by_name = {program.name: program for program in programs}
    m, z = need_interfaces(by_name, document["format"])
    for program in programs:
        need_scale(program, *SIZES[program.name])
    if "context" in by_name:
        need_context(by_name, document["order"], m)
    y_tables = read_model_tables(raw, "tables/y")
    need(len(y_tables) <= 256 or not z, "too many tables of y", "model.tables.y")
    z_tables = read_model_tables(raw, "tables/z") if z else []
    need(len(z_tables) == z, "number of tables of z", "model.tables.z")
    need_tensors(programs, tensors)
    scaling = {**document["scaling"], **read_scaling(tensors, m, len(y_tables))}
    return Model(sha256, by_name, scaling, y_tables, z_tables, document.get("order"))


# [model.interfaces]
# > The programs, in this order. Each has one input, a context two.
# [model.program.analysis]
# > `analysis` | x: u8, 3 channels, [0, 255] | y: M channels | 1/16 |
# [model.program.hyper_analysis]
# > `hyper_analysis` | y | z: Z channels | 1/4 |
# [model.program.prior]
# > `prior` | z | mean: M channels; index: M channels. Or index alone. With a context instead:
# > features | 4 |
# [model.program.context]
# > `context` | y_hat: M channels; features | mean: M channels; index: M channels. Or index alone |
# > 1
# [model.program.synthesis]
# > `synthesis` | y_hat: M channels | x_hat: u8, 3 channels, [0, 255] | 16 |
def need_interfaces(programs: dict[str, Program], version: int) -> tuple[int, int]:
    """The programs fit together; M and Z."""
    names = list(programs)
    known = names == FAMILIES[1] if version == 1 else names in FAMILIES
    need(known, "names of programs", "model.interfaces")
    made = {
        name: [program.ports[port] for port in program.outputs]
        for name, program in programs.items()
    }
    chooses = "context" if "context" in programs else "prior"
    for name, program in programs.items():
        outputs = 2 if name == chooses and (version == 1 or len(made[name]) == 2) else 1
        counts = len(program.inputs), len(made[name])
        fits = counts == (2 if name == "context" else 1, outputs)
        need(fits, f"inputs and outputs of {name}", "model.interfaces")
    y, y_hat = made["analysis"][0], programs["synthesis"].inputs[0]
    # [model.interfaces]
    # > Ports of x and x_hat are exactly as stated, so `lo` and `hi` of the op that makes x_hat are
    # > 0 and 255. Where one program makes what another takes, channels and dtype are equal, and the
    # > interval made lies within the interval taken: y of analysis and hyper_analysis; z of
    # > hyper_analysis and prior; features of prior and context; mean and y_hat of synthesis.
    ends = (("x", programs["analysis"].inputs[0]), ("x_hat", made["synthesis"][0]))
    for name, port in ends:
        need(port[1:] == ("u8", 3, 0, 255), f"port of {name}", "model.interfaces")
    links, chosen, z = [], made.get(chooses, []), 0
    if "prior" in programs:
        z = made["hyper_analysis"][0].channels
        links.append((y, programs["hyper_analysis"].inputs[0]))
        links.append((made["hyper_analysis"][0], programs["prior"].inputs[0]))
    if "context" in programs:
        links.append((made["prior"][0], programs["context"].inputs[1]))
    if len(chosen) == 2:
        links.append((chosen[0], y_hat))
    for port, taken in links:
        equal = (port.channels, port.dtype) == (taken.channels, taken.dtype)
        fits = equal and taken.lo <= port.lo and port.hi <= taken.hi
        need(fits, f"{port.name} does not fit {taken.name}", "model.interfaces")
    same = all(port.channels == y.channels for port in (*chosen, y_hat))
    need(same, "M channels", "model.interfaces")
    return y.channels, z


# [model.context]
# > The inputs of a context are named `y_hat` and `features`, in this order. Its y_hat has dtype,
# > channels and interval of the y_hat of synthesis, and 0 lies within the interval; y has the same
# > dtype.
def need_context(programs: dict[str, Program], order: Any, m: int) -> None:
    """What a context takes, and its order."""
    context = programs["context"]
    y_hat, features = context.inputs
    names = [y_hat.name, features.name]
    need(names == ["y_hat", "features"], "inputs of context", "model.context")
    taken = programs["synthesis"].inputs[0]
    need(y_hat[1:] == taken[1:], "y_hat of context", "model.context")
    need(y_hat.lo <= 0 <= y_hat.hi, "0 is no y_hat", "model.context")
    y = programs["analysis"].ports[programs["analysis"].outputs[0]]
    need(y.dtype == y_hat.dtype, "dtype of y", "model.context")
    # [model.steps]
    # > M is a multiple of G.
    if order != "serial":
        need(m % len(order[0][0]) == 0, "groups of order", "model.steps")
        return
    need_serial(context)


# [model.serial]
# > Where `order` is `"serial"`, one op of the context reads y_hat, and y_hat is no output.
# [model.serial]
# > Every other op is requantise, lut, add, mul, div, concat, slice, or a conv with KY = KX = 1,
# > stride 1 and no padding.
def need_serial(context: Program) -> None:
    """A context that sees nothing but what was decoded before a position."""
    readers = [op for op in context.ops if "y_hat" in op.inputs]
    once = len(readers) == 1 and "y_hat" not in context.outputs
    need(once, "ops that read y_hat", "model.serial")
    for op in context.ops:
        if op is readers[0]:
            continue
        point = op.kind in ("requantise", "lut", "add", "mul", "div", "concat", "slice")
        if op.kind == "conv":
            point = (op.weight.shape[1:3], op.stride, op.padding) == ((1, 1), 1, [0, 0, 0, 0])
        need(point, f"{op.name} reads other positions", "model.serial")
    # [model.serial]
    # > That op is a conv of stride 1 and one group whose KY and KX are odd and not both 1, with
    # > KY // 2 rows of padding above and below and KX // 2 columns on either side.
    conv = readers[0]
    need(conv.kind == "conv", "what reads y_hat is no conv", "model.serial")
    n, ky, kx, channels = conv.weight.shape
    need(ky % 2 == kx % 2 == 1 and (ky, kx) != (1, 1), "kernel on y_hat", "model.serial")
    same = conv.padding == [ky // 2, kx // 2, ky // 2, kx // 2]
    need((conv.stride, conv.groups) == (1, 1) and same, "conv of y_hat", "model.serial")
    # [model.serial]
    # > Its weights are 0 at [n, ky, kx, i] with ky > KY // 2, and with ky = KY // 2 and kx >= KX //
    # > 2:
    for k in range(n):
        for place in range(ky // 2 * kx + kx // 2, ky * kx):
            first = (k * ky * kx + place) * channels
            seen = any(conv.weight.values[first : first + channels])
            need(not seen, "a weight on what is not decoded yet", "model.serial")


# [model.sizes]
# > The size rules of the ops must give: analysis 128 x 192 to 8 x 12; hyper_analysis 8 x 12 to 2 x
# > 3; prior 2 x 3 to 8 x 12, every output; context 2 x 3, both inputs, to 2 x 3; synthesis 2 x 3 to
# > 32 x 48. A decoder checks that when it reads a model, and with it the size rules of ops that
# > lead to no output.
SIZES = {
    "analysis": ((128, 192), (8, 12)),
    "hyper_analysis": ((8, 12), (2, 3)),
    "prior": ((2, 3), (8, 12)),
    "context": ((2, 3), (2, 3)),
    "synthesis": ((2, 3), (32, 48)),
}


# [model.sizes]
# > More generally a program must turn every size, h x w with h, w >= 1 (for analysis multiples of
# > 64, for hyper_analysis multiples of 4), into the size of the table's last column, and no tensor
# > on the way may have more than 2147483647 rows or columns.
def need_scale(program: Program, given: Size, expected: Size) -> None:
    """The program turns this size into that one."""
    sizes = program_sizes(program, [given] * len(program.inputs))
    fits = all(max(size) <= 2147483647 for size in sizes.values())
    need(fits, f"{program.name}: a tensor of more than 2147483647 rows or columns", "model.sizes")
    fits = all(sizes[name] == expected for name in program.outputs)
    need(fits, f"{program.name}: size for {given[0]} x {given[1]}", "model.sizes")


# [model.tables.y]
# > T_y is 1 to 256, without a prior 1 to 65535 |
# [model.tables.z]
# > only with a prior: tables of z as in [table.bytes](#table.bytes); exactly Z tables, table c for
# > channel c |
# [error.TableError]
# > Within a model: `ModelError` |
def read_model_tables(raw: dict[str, Array], name: str) -> list[Table]:
    """The tables of y, or those of z."""
    need(name in raw, f"no tensor {name}", "model.tensors")
    fits = raw[name].dtype == "u8" and len(raw[name].shape) == 1
    need(fits, f"{name}: dtype or shape", "model.tensors")
    try:
        return read_tables(raw[name].values)
    except TableError as error:
        raise ModelError(f"{name}: {error.message}", error.clause) from None


# [model.tensors]
# > The tensors, all of them required, no others.
def need_tensors(programs: list[Program], tensors: dict[str, Array]) -> None:
    """Exactly the tensors that a model has."""
    names = {f"scaling/{name}" for name in SCALING} | {"tables/y"}
    names |= {"tables/z" for program in programs if program.name == "prior"}
    for program in programs:
        for op in program.ops:
            names |= {f"{program.name}/{op.name}/{field}" for field in KINDS[op.kind].tensors}
    need(set(tensors) == names, "a tensor too many or too few", "model.tensors")


# [model.scaling.gain]
# > `scaling/gain` | `I32` | 64, M | 1 to 2147483647; row q is quality q.
# [model.scaling.inverse_gain]
# > `scaling/inverse_gain` | `I32` | 64, M | 1 to 2147483647;
# [model.scaling.index_offset]
# > `scaling/index_offset` | `I32` | 64, M | any;
# [model.scaling.dead_zone]
# > `scaling/dead_zone` | `I32` | T_y | 0 to 32768. Encoders only |
SCALING = {
    "gain": (1, 2147483647),
    "inverse_gain": (1, 2147483647),
    "index_offset": (-2147483648, 2147483647),
    "dead_zone": (0, 32768),
}


def read_scaling(tensors: dict[str, Array], m: int, t_y: int) -> dict[str, Any]:
    """By name: rows by quality; of dead_zone, values by table."""
    found: dict[str, Any] = {}
    for name, (lo, hi) in SCALING.items():
        dtype, shape, values = tensors[f"scaling/{name}"]
        expected = (t_y,) if name == "dead_zone" else (64, m)
        need((dtype, shape) == ("s32", expected), f"{name}: dtype or shape", "model.tensors")
        need(lo <= min(values) and max(values) <= hi, f"{name}: values", f"model.scaling.{name}")
        rows = [values[q * m : (q + 1) * m] for q in range(64)]
        found[name] = values if name == "dead_zone" else rows
    return found


# ---- 8 Stream .inic -----------------------------------------------------------------------------
class Tile(NamedTuple):
    """What is coded on its own: rows and columns of the picture, in pixels, and two payloads."""

    top: int
    bottom: int
    left: int
    right: int
    z_payload: bytes
    y_payload: bytes


class Stream(NamedTuple):
    """A stream without a fault of header, lengths or checksum."""

    minor: int
    model_id: bytes
    grey: bool
    quality: int
    width: int
    height: int
    pixel_crc: int | None
    tiles: list[Tile]
    chunks: dict[bytes, bytes]


# [stream.layout]
# > A stream is a header, the payloads of its tiles, its chunks and its checksums, nothing before,
# > between or after. At least 34 bytes.
# [stream.header.magic]
# > `magic` | 0 | 6 | 89 49 4e 0d 0a 1a | exactly that |
# [stream.crc]
# > CRC-32 is that of zlib, gzip and PNG:
# [stream.order]
# > Faults of the header, of the lengths and of the checksums are found without a model and are
# > StreamError.
def read_stream(data: bytes) -> Stream:
    """The parts of a stream."""
    need(len(data) >= 34, "a stream is cut", "stream.layout", StreamError)
    need(data[:6] == bytes.fromhex("89494e0d0a1a"), "magic", "stream.header.magic", StreamError)
    need(data[6] == 1, "major version", "stream.header.major", StreamError)
    minor = data[7]
    need(minor <= 2, "minor version", "stream.header.minor", StreamError)
    if minor < 2:
        need_checksum(data)
    # [stream.header.grey]
    # > 0, `grey` | the picture has one channel,
    # [stream.layout]
    # > | 1 | `pixel_crc` is there |
    # [stream.header.reserved]
    # > 3 to 7; 2 as well in versions 1.0 and 1.1 | reserved, 0 |
    flags, quality = data[16], data[17]
    allowed = 7 if minor == 2 else 3
    need(flags <= allowed, "reserved flags", "stream.header.reserved", StreamError)
    need(quality <= 63, "quality", "stream.header.quality", StreamError)
    width, height = number(data[18:22]), number(data[22:26])
    need_picture_size(width, height)
    # [stream.header.pixel_crc]
    # > `pixel_crc` | 30; 28 in version 1.2 | 4 or 0, little-endian | only where flags bit 1 is set:
    at = 28 if minor == 2 else 30
    begin = at + 4 if flags & 2 else at
    need(len(data) >= begin + 4, "no pixel_crc", "stream.header.pixel_crc", StreamError)
    pixel_crc = number(data[at:begin]) if flags & 2 else None
    read = read_tiles if minor == 2 else read_whole
    tiles, chunks = read(data, begin, height, width)
    return Stream(
        minor, data[8:16], bool(flags & 1), quality, width, height, pixel_crc, tiles, chunks
    )  # fmt: skip


# [stream.checksum]
# > `checksum` | file size - 4 | 4, little-endian | CRC-32 of every byte before it, magic included |
# > exactly that |
def need_checksum(data: bytes) -> None:
    """That of versions 1.0 and 1.1."""
    crc_fits = zlib.crc32(data[:-4]) == number(data[-4:])
    need(crc_fits, "the checksum is another", "stream.checksum", StreamError)


# [stream.whole]
# > Versions 1.0 and 1.1 go on so; the picture is one tile:
# [stream.header.z_bytes]
# > `z_bytes` | 26 | 4, little-endian | bytes of the z payload | at most what there is before
# > the checksum |
def read_whole(
    data: bytes, z_begin: int, height: int, width: int
) -> tuple[list[Tile], dict[bytes, bytes]]:
    """The one tile of versions 1.0 and 1.1."""
    y_begin = z_begin + number(data[26:30])
    need(y_begin <= len(data) - 4, "z_bytes", "stream.header.z_bytes", StreamError)
    return [Tile(0, height, 0, width, data[z_begin:y_begin], data[y_begin:-4])], {}


# [decode.tiles]
# > A tile is a square of s = 64 * `tile` pixels, cut at the right and at the bottom: tile (i, j)
# > has rows [i * s, min((i + 1) * s, h)) and columns [j * s, min((j + 1) * s, w)); i < ceil(h / s),
# > j < ceil(w / s); tile n is (i, j) with n = i * ceil(w / s) + j.
def tile_area(n: int, tile: int, h: int, w: int) -> list[int]:
    """Rows and columns of a tile, in pixels."""
    s = 64 * tile
    i, j = divmod(n, ceil_div(w, s))
    return [i * s, min((i + 1) * s, h), j * s, min((j + 1) * s, w)]


# [stream.tiles]
# > Version 1.2 goes on so;
# [stream.tile.head_crc]
# > `head_crc` | e + 16 * N | 4, little-endian | CRC-32 of every byte before it, magic included |
# > exactly that |
def read_tiles(
    data: bytes, begin: int, height: int, width: int
) -> tuple[list[Tile], dict[bytes, bytes]]:
    """The tiles and chunks of version 1.2."""
    # [stream.header.chunk_bytes]
    # > `chunk_bytes` | 28 or 32 | 4 or 0, little-endian | only where flags bit 2 is set: bytes of
    # > all chunks | any |
    chunk_bytes = 0
    if data[16] & 4:
        at, begin = begin, begin + 4
        need(len(data) >= begin, "no chunk_bytes", "stream.header.chunk_bytes", StreamError)
        chunk_bytes = number(data[at:begin])
    side = number(data[26:28])
    need(side >= 1, "tile", "stream.header.tile", StreamError)
    tiles = ceil_div(height, 64 * side) * ceil_div(width, 64 * side)
    end = begin + 16 * tiles
    need(len(data) >= end + 4, "no room for all tiles", "stream.tiles", StreamError)
    head_fits = zlib.crc32(data[:end]) == number(data[end : end + 4])
    need(head_fits, "head_crc is another", "stream.tile.head_crc", StreamError)
    lengths = [
        (number(data[at : at + 4]), number(data[at + 4 : at + 8])) for at in range(begin, end, 16)
    ]
    # [stream.tile.payloads]
    # > the sum of all `z_bytes` and `y_bytes` | for each tile, z payload, then y payload, section 6
    # [stream.header.chunks]
    # > chunks | after them | `chunk_bytes`, or 0 | below | the stream ends with them |
    sizes_fit = len(data) == end + 4 + sum(z + y for z, y in lengths) + chunk_bytes
    need(sizes_fit, "payloads are longer or shorter", "stream.tile.payloads", StreamError)
    found, at = [], end + 4
    for n, (z_bytes, y_bytes) in enumerate(lengths):
        z, y = data[at : at + z_bytes], data[at + z_bytes : at + z_bytes + y_bytes]
        at += z_bytes + y_bytes
        # [stream.tile.z_crc]
        # > `z_crc` | e + 16 * n + 8 | 4, little-endian | CRC-32 of its z payload | exactly that |
        # [stream.tile.y_crc]
        # > `y_crc` | e + 16 * n + 12 | 4, little-endian | CRC-32 of its y payload | exactly that |
        entry = data[begin + 16 * n : begin + 16 * n + 16]
        need(zlib.crc32(z) == number(entry[8:12]), "z_crc", "stream.tile.z_crc", StreamError)
        need(zlib.crc32(y) == number(entry[12:]), "y_crc", "stream.tile.y_crc", StreamError)
        found.append(Tile(*tile_area(n, side, height, width), z, y))
    return found, read_chunks(data[at:])


# [stream.chunks]
# > Chunks, each directly after the one before; there may be none:
# [stream.chunk.types]
# > Each occurs at most once. Of other types, those that begin with a small letter are passed over.
def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """The data of the types that are known."""
    known = {b"ALPH", b"iccp", b"exif"}
    chunks: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        need(len(data) >= at + 12, "a chunk is cut", "stream.chunks", StreamError)
        kind, size, crc = data[at : at + 4], number(data[at + 4 : at + 8]), data[at + 8 : at + 12]
        # [stream.chunk.type]
        # > letters A to Z, a to z, in ASCII | a capital first only where the decoder knows the type
        letters = all(65 <= c <= 90 or 97 <= c <= 122 for c in kind)
        need(letters, "no letters", "stream.chunk.type", StreamError)
        # [stream.chunk.size]
        # > bytes of `data` | at most what there is of `chunk_bytes`; for `iccp` and `exif` at most
        # > 4194304 |
        need(len(data) >= at + 12 + size, "size", "stream.chunk.size", StreamError)
        allowed = kind not in {b"iccp", b"exif"} or size <= 4194304
        need(allowed, "too much", "stream.chunk.size", StreamError)
        content = data[at + 12 : at + 12 + size]
        # [stream.chunk.crc]
        # > CRC-32 of `type` and `data` | exactly that |
        fits = zlib.crc32(kind + content) == number(crc)
        need(fits, "crc of a chunk", "stream.chunk.crc", StreamError)
        need(kind in known or kind[0] >= 97, "critical", "stream.chunk.type", StreamError)
        need(kind not in chunks, "twice", "stream.chunk.types", StreamError)
        if kind in known:
            chunks[kind] = content
        at += 12 + size
    return chunks


# [stream.header.width]
# > `width` | 18 | 4, little-endian | columns of the picture | 1 to 16777216 |
# [stream.header.height]
# > `height` | 22 | 4, little-endian | rows of the picture | 1 to 16777216; width * height <=
# > 1073741824 |
def need_picture_size(width: int, height: int) -> None:
    """A picture that a stream may have."""
    need(1 <= width <= 16777216, "width", "stream.header.width", StreamError)
    need(1 <= height <= 16777216, "height", "stream.header.height", StreamError)
    need(width * height <= 1073741824, "width * height", "stream.header.height", StreamError)


# [stream.version]
# > Version 1.0: one lane in each payload. Versions 1.1 and 1.2: lanes_for the number of symbols of
# > that payload,
def lanes_of(minor: int, symbols: int) -> int:
    """Number of lanes of a payload of a stream."""
    return lanes_for(symbols) if minor >= 1 else 1


# ---- 9 Decoding ---------------------------------------------------------------------------------
# [error.PayloadError]
# > Within a stream: `StreamError` |
def decode_symbols(
    name: str, payload: bytes, tables: list[Table], indexes: list[int], minor: int
) -> list[int]:
    """The symbols of a payload of a stream."""
    try:
        return decode_payload(payload, tables, indexes, lanes_of(minor, len(indexes)))
    except PayloadError as error:
        raise StreamError(f"payload of {name}: {error.message}", error.clause) from None


# [model.sizes]
# > Where that does not hold for the size at hand, the decoder refuses (ModelError): it compares the
# > sizes of prior and synthesis with those of [decode.sizes](#decode.sizes), and those of a context
# > with the size of each tile, before it decodes anything.
def need_sizes(stream: Stream, model: Model) -> None:
    """The model fits a picture of this size."""
    # [decode.sizes]
    # > | mean, index, features as the prior makes them | 4 * ceil(h / 64) | 4 * ceil(w / 64) | M;
    # > of features any |
    height, width = ceil_div(stream.height, 64), ceil_div(stream.width, 64)
    if "prior" in model.programs:
        need_scale(model.programs["prior"], (height, width), (4 * height, 4 * width))
    # [decode.sizes]
    # > | x_hat as the synthesis makes it | 16 * ceil(h / 16) | 16 * ceil(w / 16) | 3 |
    height, width = ceil_div(stream.height, 16), ceil_div(stream.width, 16)
    need_scale(model.programs["synthesis"], (height, width), (16 * height, 16 * width))
    if "context" in model.programs:
        for size in sorted({tuple(map(len, cells(tile, 16))) for tile in stream.tiles}):
            need_scale(model.programs["context"], size, size)


# [decode.tiles]
# > It has the elements of z at rows [i * s / 64, min((i + 1) * s / 64, ceil(h / 64))), and those of
# > y with 16 for 64; columns likewise with j and w.
def cells(tile: Tile, stride: int) -> tuple[range, range]:
    """Rows and columns of z or y of a tile."""
    return (
        range(tile.top // stride, ceil_div(tile.bottom, stride)),
        range(tile.left // stride, ceil_div(tile.right, stride)),
    )


# [decode.tiles]
# > Tiles say how symbols are coded and what a context sees, and nothing else: z, and the symbols of
# > y, are put together from all tiles, and every other step is of the whole picture.
def put(into: Tensor, rows: range, columns: range, values: list[int]) -> None:
    """The symbols of a tile where they belong, row-major."""
    channels = len(into[0][0])
    places = [(row, column) for row in rows for column in columns]
    for k, (row, column) in enumerate(places):
        into[row][column] = values[k * channels : (k + 1) * channels]


# [decode.z]
# > Symbol i of the z payload of a tile is its element i, row-major (rows, columns, channels). Its
# > table is table c of `tables/z`, c its channel.
# [decode.z]
# > A value outside [lo, hi] of the prior's input port is refused.
def decode_z(stream: Stream, model: Model) -> Tensor:
    """Step 1."""
    # [decode.sizes]
    # > | z | ceil(h / 64) | ceil(w / 64) | Z |
    height, width = ceil_div(stream.height, 64), ceil_div(stream.width, 64)
    channels = len(model.z_tables)
    z = zeros(height, width, channels)
    port = model.programs["prior"].inputs[0] if channels else None
    for tile in stream.tiles:
        # [decode.z]
        # > Without a prior Z is 0: each z payload is that of no symbols, no bytes.
        rows, columns = cells(tile, 64)
        indexes = list(range(channels)) * (len(rows) * len(columns))
        values = decode_symbols("z", tile.z_payload, model.z_tables, indexes, stream.minor)
        fits = port is None or all(port.lo <= value <= port.hi for value in values)
        need(fits, "a z outside its port", "decode.z", StreamError)
        put(z, rows, columns, values)
    return z


# [decode.prior]
# > Step 2, mean and index, or features: the outputs of `prior` for z,
# [decode.prior]
# > without a prior index is 0 everywhere too, so that `index_offset` alone says the table of a
# > channel at a quality.
def run_prior(model: Model, z: Tensor) -> list[Tensor]:
    """Step 2, before the cut."""
    if "prior" in model.programs:
        return run_program(model.programs["prior"], [z])
    return [zeros(4 * len(z), 4 * len(z[0]), model.programs["synthesis"].inputs[0].channels)]


# [decode.prior]
# > Where no program makes mean, here and below, it is 0 everywhere;
def mean_and_index(outputs: list[Tensor]) -> list[Tensor]:
    """Both."""
    index = outputs[-1]
    return outputs if len(outputs) == 2 else [zeros(*size_of(index), len(index[0][0])), index]


def zeros(height: int, width: int, channels: int) -> Tensor:
    """A tensor of them."""
    return [[[0] * channels for _ in range(width)] for _ in range(height)]


def cut(t: Tensor, height: int, width: int) -> Tensor:
    """The first rows and columns."""
    return [row[:width] for row in t[:height]]


# [decode.table_index]
# > table = clip(round_shift(index + index_offset[q, c], index_shift), 0, T_y - 1).
def table_index(index: int, index_offset: int, index_shift: int, t_y: int) -> int:
    """The table of one symbol."""
    return clip(round_shift(index + index_offset, index_shift), 0, t_y - 1)


def table_indexes(model: Model, quality: int, index: Tensor) -> Tensor:
    """Step 3."""
    offsets, shift = model.scaling["index_offset"][quality], model.scaling["index_shift"]
    t_y = len(model.y_tables)
    return [
        [[table_index(v, offsets[c], shift, t_y) for c, v in enumerate(s)] for s in row]
        for row in index
    ]


# [decode.symbols]
# > Symbol i of the y payload of a tile is its element i, row-major, coded with the table of
# > `tables/y` that step 3 gives. Lanes for the number of these elements.
def decode_y(stream: Stream, model: Model, tables: Tensor) -> Tensor:
    """Step 4."""
    symbols = [[list(position) for position in row] for row in tables]
    for tile in stream.tiles:
        rows, columns = cells(tile, 16)
        indexes = [table for row in rows for column in columns for table in tables[row][column]]
        values = decode_symbols("y", tile.y_payload, model.y_tables, indexes, stream.minor)
        put(symbols, rows, columns, values)
    return symbols


# [decode.dequantise]
# > y_hat = clip(mean + round_shift(symbol * inverse_gain[q, c], inverse_shift), lo, hi), lo and hi
# > those of the input port of synthesis.
def dequantise(
    symbol: int, mean: int, inverse_gain: int, inverse_shift: int, lo: int, hi: int
) -> int:
    """One latent."""
    return clip(mean + round_shift(symbol * inverse_gain, inverse_shift), lo, hi)


def reconstruct(model: Model, quality: int, symbols: Tensor, mean: Tensor) -> Tensor:
    """Step 5."""
    gains, shift = model.scaling["inverse_gain"][quality], model.scaling["inverse_shift"]
    port = model.programs["synthesis"].inputs[0]
    return by_element(
        [symbols, mean], lambda s, m, c: dequantise(s, m, gains[c], shift, port.lo, port.hi)
    )


Group = list[tuple[int, int, list[int]]]  # row, column, channels of positions, in order


# [decode.steps]
# > Where `order` is a list, group s has the latents of step s, [model.steps](#model.steps):
# > positions in raster order, at each position channels ascending.
def step_groups(order: Any, height: int, width: int, m: int) -> list[Group]:
    """The groups of a tile."""
    steps = 1 + max(step for row in order for groups in row for step in groups)
    groups: list[Group] = [[] for _ in range(steps)]
    for row in range(height):
        for column in range(width):
            for s, group in enumerate(groups):
                here = [c for c in range(m) if step_of(order, row, column, c, m) == s]
                group.append((row, column, here))
    return groups


# [decode.serial]
# > Where `order` is `"serial"`, a group has all channels of the positions with one column + slope *
# > row, slope = KX // 2 + 1 of the conv that reads y_hat. Groups come with that number ascending,
# > positions of a group with rows ascending, at each position channels ascending.
def serial_groups(height: int, width: int, slope: int) -> list[list[list[int]]]:
    """Row and column of the positions of each group."""
    groups: dict[int, list[list[int]]] = {}
    for row in range(height):
        for column in range(width):
            groups.setdefault(column + slope * row, []).append([row, column])
    return [groups[number] for number in sorted(groups)]


def groups_of(model: Model, height: int, width: int, m: int) -> list[Group]:
    """The groups of a tile, by either order."""
    if model.order != "serial":
        return step_groups(model.order, height, width, m)
    (conv,) = [op for op in model.programs["context"].ops if "y_hat" in op.inputs]
    groups = serial_groups(height, width, conv.weight.shape[2] // 2 + 1)
    return [[(row, column, list(range(m))) for row, column in group] for group in groups]


# [decode.context]
# > With a context steps 3 to 5 are done for every tile on its own, as if the tile were the picture:
# > features are cut to the tile, rows and columns count from its top left, outside of it is
# > nothing.
def decode_with_context(stream: Stream, model: Model, features: Tensor) -> Tensor:
    """Steps 3 to 5 of the picture: y_hat."""
    m = model.programs["context"].inputs[0].channels
    whole = zeros(*size_of(features), m)
    for tile in stream.tiles:
        rows, columns = cells(tile, 16)
        part = [[features[row][column] for column in columns] for row in rows]
        try:
            y_hat = decode_tile(stream, model, tile.y_payload, part)
        except PayloadError as error:
            raise StreamError(f"payload of y: {error.message}", error.clause) from None
        put(whole, rows, columns, flat(y_hat))
    return whole


# [decode.context]
# > y_hat of the tile begins as 0 everywhere. Its latents come in groups, one after the other. For
# > each group the context is run on the y_hat so far and on features; with the mean and index that
# > it makes, steps 3 to 5 give the y_hat of the latents of this group, which replace the zeros.
# > What it makes for other latents is not used. All symbols are in the one y payload of the tile,
# > group after group.
def decode_tile(stream: Stream, model: Model, payload: bytes, features: Tensor) -> Tensor:
    """Steps 3 to 5 of a tile."""
    (height, width), port = size_of(features), model.programs["context"].inputs[0]
    y_hat = zeros(height, width, port.channels)
    gains, shift = model.scaling["inverse_gain"][stream.quality], model.scaling["inverse_shift"]
    reader = Payload(payload, lanes_of(stream.minor, height * width * port.channels))
    for group in groups_of(model, height, width, port.channels):
        outputs = run_program(model.programs["context"], [y_hat, features])
        mean, index = mean_and_index(outputs)
        table = table_indexes(model, stream.quality, index)
        for row, column, channels in group:
            for c in channels:
                symbol = reader.symbol(model.y_tables[table[row][column][c]])
                y_hat[row][column][c] = dequantise(
                    symbol, mean[row][column][c], gains[c], shift, port.lo, port.hi
                )
    reader.end()
    return y_hat


# [decode.synthesis]
# > Step 6, x_hat: the output of `synthesis` for y_hat.
def run_synthesis(model: Model, y_hat: Tensor) -> Tensor:
    """Step 6."""
    (x_hat,) = run_program(model.programs["synthesis"], [y_hat])
    return x_hat


# [decode.luma]
# > Step 8, only if grey: the one sample is (r + 2 * g + b + 2) >> 2.
def luma(r: int, g: int, b: int) -> int:
    """Grey of a pixel."""
    return (r + 2 * g + b + 2) >> 2


# [decode.alpha]
# > Step 10, only where there is a chunk `ALPH`: its data is a zlib stream (RFC 1950) of exactly
# > h * w bytes d, row-major, which ends where the chunk ends.
# [decode.alpha]
# > The alpha of row 0 is d[0, x], that of row y > 0 is (alpha[y - 1, x] + d[y, x]) mod 256. It
# > becomes the last channel,
def decode_alpha(data: bytes, height: int, width: int) -> list[list[int]]:
    """Step 10."""
    inflater = zlib.decompressobj()
    try:
        d = inflater.decompress(data, height * width + 1)  # no more, whatever is in it
    except zlib.error as error:
        raise StreamError(str(error), "decode.alpha") from None
    need(len(d) == height * width, "samples of alpha", "decode.alpha", StreamError)
    ends = inflater.eof and not inflater.unused_data
    need(ends, "the end of alpha", "decode.alpha", StreamError)
    rows: list[list[int]] = []
    above = [0] * width
    for y in range(height):
        above = [(a + d[y * width + x]) % 256 for x, a in enumerate(above)]
        rows.append(above)
    return rows


class Picture(NamedTuple):
    """What decoding gives, and every stage on the way."""

    height: int
    width: int
    channels: int
    samples: bytes
    stages: dict[str, Tensor]


# [decode.whole]
# > All steps must succeed before the picture counts as decoded.
# [stream.order]
# > Only a stream without such a fault can be ModelError for a `model_id` that is not at hand.
def decode(data: bytes, model: Model) -> Picture:
    """The picture of a stream."""
    stream = read_stream(data)
    at_hand = stream.model_id == model.id
    need(at_hand, f"model {stream.model_id.hex()} is not at hand", "stream.header.model_id")
    need_sizes(stream, model)
    # [decode.sizes]
    # > | mean, index, table indexes, symbols, y_hat | ceil(h / 16) | ceil(w / 16) | M |
    height, width = ceil_div(stream.height, 16), ceil_div(stream.width, 16)
    z = decode_z(stream, model)
    # [decode.prior]
    # > each cut to the first ceil(h / 16) rows and ceil(w / 16) columns.
    outputs = [cut(t, height, width) for t in run_prior(model, z)]
    stages = {"z": z}
    if "context" in model.programs:
        y_hat = decode_with_context(stream, model, *outputs)
    else:
        mean, index = mean_and_index(outputs)
        table = table_indexes(model, stream.quality, index)
        symbols = decode_y(stream, model, table)
        y_hat = reconstruct(model, stream.quality, symbols, mean)
        stages |= {"mean": mean, "index": index, "table": table, "symbols": symbols}
    x_hat = run_synthesis(model, y_hat)
    # [decode.crop]
    # > Step 7: the first h rows and w columns of x_hat. Channels 0, 1, 2 are red, green, blue.
    pixels = cut(x_hat, stream.height, stream.width)
    if stream.grey:
        pixels = [[[luma(*sample)] for sample in row] for row in pixels]
    # [decode.pixel_crc]
    # > Step 9, only where `pixel_crc` is there: the CRC-32 of the samples, one byte each,
    # > row-major, channels last (after step 8 for grey), must equal it.
    fits = stream.pixel_crc is None or zlib.crc32(bytes(flat(pixels))) == stream.pixel_crc
    need(fits, "the CRC of the samples is another", "decode.pixel_crc", StreamError)
    if b"ALPH" in stream.chunks:
        alpha = decode_alpha(stream.chunks[b"ALPH"], stream.height, stream.width)
        pixels = [
            [[*sample, a] for sample, a in zip(row, above, strict=True)]
            for row, above in zip(pixels, alpha, strict=True)
        ]
    # [decode.output]
    # > The result is height, width, 1 to 4 channels, and the samples, row-major, channels last.
    samples = bytes(flat(pixels))
    stages |= {"y_hat": y_hat, "x_hat": x_hat, "pixels": pixels}
    return Picture(stream.height, stream.width, len(pixels[0][0]), samples, stages)


# ---- Command line -------------------------------------------------------------------------------
def read_model_file(path: str) -> Model:
    """A model from its file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(str(error), "stream.header.model_id") from None
    return read_model(data)


def describe(model: Model) -> str:
    """Lines for people: the hash, and the proved bounds."""
    lines = [f"sha256 {model.sha256.hex()}"]
    for name, program in model.programs.items():
        for op, channel, quantity, bound in bounds(program):
            lines.append(f"{name}/{op} channel {channel} {quantity} {bound}")
    return "\n".join(lines)


# [limit.decoder]
# > A decoder may refuse pictures or models that need more memory than it has or than its user
# > allows; it says so and gives no picture.
def main() -> int:
    """Decode stdin to stdout, or check a model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", help="decode stdin with this model, samples to stdout")
    which.add_argument("--check-model", help="accept or refuse this model; prints its id")
    parser.add_argument("--describe", action="store_true", help="with --check-model: its bounds")
    chosen = parser.parse_args()
    try:
        if chosen.check_model:
            model = read_model_file(chosen.check_model)
            print(f"{model.id.hex()}\n{describe(model)}" if chosen.describe else model.id.hex())
            return 0
        data = sys.stdin.buffer.read()
        read_stream(data)  # [stream.order]: found without a model
        samples = decode(data, read_model_file(chosen.model)).samples
    except CodecError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("IntnetError: more memory than there is [limit.decoder]", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(samples)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
