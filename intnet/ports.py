"""Types of every tensor of a program, and with them its validation.

`infer` walks the operations once. Whatever it accepts, a backend may execute without looking again:
names resolve, shapes agree, parameters have the stated dtypes and limits, intervals fit dtypes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np

from intnet.errors import ModelError
from intnet.program import (
    DTYPES,
    Add,
    Array,
    Clipped,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Div,
    Edges,
    Lut,
    Mul,
    Op,
    Pad,
    Port,
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)

MAX_OPS, MAX_CHANNELS, MAX_KERNEL, MAX_STRIDE, MAX_BLOCK, MAX_PAD = 1024, 8192, 15, 8, 16, 64
MULTIPLIER_LIMIT, SHIFT_LIMIT = 2**31 - 1, 62
NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")

Ports = dict[str, Port]

INFERRED: WeakKeyDictionary[Program, Ports] = WeakKeyDictionary()


def infer(program: Program) -> Ports:
    """The port of every tensor by name. Raises ModelError naming program, op, got and allowed.

    A program never changes, so this is done once for each.
    """
    if program not in INFERRED:
        INFERRED[program] = inferred(program)
    return INFERRED[program]


def inferred(program: Program) -> Ports:
    """The same, from its operations."""
    require(NAME.fullmatch(program.name), f"program name {program.name!r:.80}: not {NAME.pattern}")
    where = f"program {program.name!r}"
    require(
        len(program.ops) <= MAX_OPS, f"{where}: {len(program.ops)} operations, at most {MAX_OPS}"
    )
    require(program.inputs and program.outputs, f"{where}: needs at least one input and one output")
    ports: Ports = {}
    for port in program.inputs:
        add_port(ports, port, where)
    for op in program.ops:
        at = f"{where}, op {op.name!r}"
        for name in op.inputs:
            require(name in ports, f"{at}: input {name!r} is not made before it")
        require(
            op.inputs and op.arity in (None, len(op.inputs)),
            f"{at}: {len(op.inputs)} inputs, {op.kind} takes {op.arity or 'at least 1'}",
        )
        add_port(ports, RULES[type(op)](op, [ports[name] for name in op.inputs], at), at)
    for name in program.outputs:
        require(name in ports, f"{where}: output {name!r} is not made")
    return ports


def add_port(ports: Ports, port: Port, where: str) -> None:
    """Check a port by itself and enter it."""
    require(NAME.fullmatch(port.name), f"{where}: name {port.name!r:.80}: not {NAME.pattern}")
    require(port.name not in ports, f"{where}: {port.name!r} is made twice")
    require(
        port.dtype in DTYPES, f"{where}: dtype {port.dtype!r:.20}, must be one of {list(DTYPES)}"
    )
    check_range(port.channels, 1, MAX_CHANNELS, f"{where}: channels")
    info = np.iinfo(DTYPES[port.dtype])
    require(
        info.min <= port.lo <= port.hi <= info.max,
        f"{where}: interval [{port.lo}, {port.hi}], must be ordered and within {port.dtype}",
    )
    ports[port.name] = port


def require(condition: object, message: str) -> None:
    """Raise ModelError unless condition."""
    if not condition:
        raise ModelError(message)


def check_range(value: int, lo: int, hi: int, what: str) -> None:
    """lo <= value <= hi."""
    require(lo <= value <= hi, f"{what} is {value}, must be in {lo}..{hi}")


def check_tensor(x: Array, dtypes: tuple[str, ...], shape: tuple[int, ...], what: str) -> None:
    """Exact dtype (in this machine's byte order) and shape."""
    native = x.dtype.name in dtypes and x.dtype.isnative
    require(native, f"{what}: dtype {x.dtype}, must be {' or '.join(dtypes)}")
    require(x.shape == shape, f"{what}: shape {x.shape}, must be {shape}")


def check_requantisation(multiplier: Array, shift: Array, channels: int, where: str) -> None:
    """1 <= multiplier < 2**31 and 1 <= shift <= 62 for every channel."""
    limits = (("multiplier", multiplier, MULTIPLIER_LIMIT), ("shift", shift, SHIFT_LIMIT))
    for name, values, limit in limits:
        check_tensor(values, ("int32",), (channels,), f"{where}, {name}")
        for bad in (int(values.min()), int(values.max())):
            check_range(bad, 1, limit, f"{where}, {name}")


def check_padding(padding: Edges, where: str) -> None:
    """Each edge in 0..MAX_PAD."""
    for edge in padding:
        check_range(edge, 0, MAX_PAD, f"{where}, padding")


def clipped(op: Clipped, channels: int) -> Port:
    """The port of an operation that states its own interval."""
    return Port(op.name, op.dtype, channels, op.lo, op.hi)


def same_channels(ports: list[Port], where: str) -> int:
    """The channel count shared by both inputs."""
    a, b = ports
    require(a.channels == b.channels, f"{where}: inputs of {a.channels} and {b.channels} channels")
    return a.channels


def conv_port(op: Conv | ConvTranspose, ports: list[Port], where: str) -> Port:
    """Weight (N, KY, KX, channels / groups), bias and requantisation (N,)."""
    require(op.weight.ndim == 4, f"{where}, weight: {op.weight.ndim} axes, must be 4")
    n, ky, kx, i = op.weight.shape
    check_range(n, 1, MAX_CHANNELS, f"{where}: output channels")
    check_range(min(ky, kx), 1, MAX_KERNEL, f"{where}: kernel")
    check_range(max(ky, kx), 1, MAX_KERNEL, f"{where}: kernel")
    check_range(op.stride, 1, MAX_STRIDE, f"{where}: stride")
    check_range(op.groups, 1, ports[0].channels, f"{where}: groups")
    require(
        ports[0].channels == i * op.groups and n % op.groups == 0,
        f"{where}: {op.groups} groups of {i} input channels, "
        f"{ports[0].channels} inputs, {n} outputs",
    )
    check_padding(op.padding, where)
    check_tensor(op.weight, ("int8", "int16"), op.weight.shape, f"{where}, weight")
    check_tensor(op.bias, ("int32",), (n,), f"{where}, bias")
    check_requantisation(op.multiplier, op.shift, n, where)
    return clipped(op, n)


def requantise_port(op: Requantise, ports: list[Port], where: str) -> Port:
    """Per-channel parameters of the input's channels."""
    check_requantisation(op.multiplier, op.shift, ports[0].channels, where)
    return clipped(op, ports[0].channels)


def lut_port(op: Lut, ports: list[Port], where: str) -> Port:
    """256 entries within [lo, hi]; input of 8 bits."""
    require(ports[0].dtype in ("u8", "s8"), f"{where}: input {ports[0].dtype}, must be u8 or s8")
    check_tensor(op.table, ("int32",), (256,), f"{where}, table")
    for value in (int(op.table.min()), int(op.table.max())):
        check_range(value, op.lo, op.hi, f"{where}, table entry")
    return clipped(op, ports[0].channels)


def add_port_of(op: Add, ports: list[Port], where: str) -> Port:
    """Equal channels."""
    return clipped(op, same_channels(ports, where))


def mul_port(op: Mul, ports: list[Port], where: str) -> Port:
    """Equal channels, requantisation per channel."""
    channels = same_channels(ports, where)
    check_requantisation(op.multiplier, op.shift, channels, where)
    return clipped(op, channels)


def div_port(op: Div, ports: list[Port], where: str) -> Port:
    """Equal channels, a divisor of at least 1."""
    check_range(op.left_shift, 0, 30, f"{where}, left_shift")
    require(ports[1].lo >= 1, f"{where}: divisor may be {ports[1].lo}, must be at least 1")
    return clipped(op, same_channels(ports, where))


def depth_to_space_port(op: DepthToSpace, ports: list[Port], where: str) -> Port:
    """channels / block**2."""
    check_range(op.block, 1, MAX_BLOCK, f"{where}, block")
    p, area = ports[0], op.block**2
    require(p.channels % area == 0, f"{where}: {p.channels} channels, must be a multiple of {area}")
    return Port(op.name, p.dtype, p.channels // area, p.lo, p.hi)


def space_to_depth_port(op: SpaceToDepth, ports: list[Port], where: str) -> Port:
    """channels * block**2."""
    check_range(op.block, 1, MAX_BLOCK, f"{where}, block")
    p = ports[0]
    return Port(op.name, p.dtype, p.channels * op.block**2, p.lo, p.hi)


def concat_port(op: Concat, ports: list[Port], where: str) -> Port:
    """The sum of channels; the union of intervals."""
    dtypes = {p.dtype for p in ports}
    require(len(dtypes) == 1, f"{where}: inputs of unlike dtypes {sorted(dtypes)}")
    lo, hi = min(p.lo for p in ports), max(p.hi for p in ports)
    return Port(op.name, ports[0].dtype, sum(p.channels for p in ports), lo, hi)


def slice_port(op: Slice, ports: list[Port], where: str) -> Port:
    """end - begin channels."""
    p = ports[0]
    require(
        0 <= op.begin < op.end <= p.channels,
        f"{where}: channels {op.begin}..{op.end}, must be ordered and within 0..{p.channels}",
    )
    return Port(op.name, p.dtype, op.end - op.begin, p.lo, p.hi)


def pad_port(op: Pad, ports: list[Port], where: str) -> Port:
    """Zeros may widen the interval."""
    check_padding(op.padding, where)
    require(op.mode in ("zero", "edge"), f"{where}: mode {op.mode!r:.20}, must be zero or edge")
    p = ports[0]
    lo, hi = (min(p.lo, 0), max(p.hi, 0)) if op.mode == "zero" else (p.lo, p.hi)
    return Port(op.name, p.dtype, p.channels, lo, hi)


def crop_port(op: Crop, ports: list[Port], where: str) -> Port:
    """Unchanged but for its name."""
    check_padding(op.padding, where)
    p = ports[0]
    return Port(op.name, p.dtype, p.channels, p.lo, p.hi)


RULES: dict[type[Op], Callable[..., Port]] = {
    Conv: conv_port, ConvTranspose: conv_port, Requantise: requantise_port, Lut: lut_port,
    Add: add_port_of, Mul: mul_port, Div: div_port, DepthToSpace: depth_to_space_port,
    SpaceToDepth: space_to_depth_port, Concat: concat_port, Slice: slice_port, Pad: pad_port,
    Crop: crop_port,
}  # fmt: skip
