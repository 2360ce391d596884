"""Heights and widths of every tensor, known before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intnet.program import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    DepthToSpace,
    Div,
    Lut,
    Mul,
    Op,
    Pad,
    Program,
    Requantise,
    Slice,
    SpaceToDepth,
)

Size = tuple[int, int]  # height, width
MAX_TENSOR_SIDE = 2**31 - 1


def shapes(program: Program, inputs: Mapping[str, Size]) -> dict[str, Size]:
    """(height, width) of every tensor by name. program: accepted by `ports.infer`.

    Raises ValueError naming program, op, got and allowed: inputs that are missing or not asked for,
    empty pictures, sizes that do not fit an operation, sides above MAX_TENSOR_SIDE.
    """
    where = f"program {program.name!r}"
    check_names(program, inputs)
    sizes: dict[str, Size] = {}
    for port in program.inputs:
        sizes[port.name] = present(inputs[port.name], f"{where}, input {port.name!r}")
    for op in program.ops:
        at = f"{where}, op {op.name!r}"
        sizes[op.name] = present(RULES[type(op)](op, [sizes[name] for name in op.inputs], at), at)
    return sizes


def check_names(program: Program, inputs: Mapping[str, object]) -> None:
    """Exactly the inputs of the program."""
    got, asked = sorted(inputs), sorted(port.name for port in program.inputs)
    if got != asked:
        raise ValueError(f"program {program.name!r}, inputs: got {got}, must be {asked}")


def present(size: Size, where: str) -> Size:
    """At least one sample, and sides that arrays can have."""
    if min(size) < 1:
        raise ValueError(f"{where}: {size[0]} x {size[1]} samples, must be at least 1 x 1")
    if max(size) > MAX_TENSOR_SIDE:
        raise ValueError(
            f"{where}: {size[0]} x {size[1]} samples, at most {MAX_TENSOR_SIDE} on each side"
        )
    return size


def equal(op: Op, sizes: list[Size], where: str) -> Size:
    """The size shared by all inputs."""
    if len(set(sizes)) > 1:
        listed = " and ".join(f"{h} x {w}" for h, w in sizes)
        raise ValueError(f"{where}: inputs of {listed} samples, must be equal")
    return sizes[0]


def conv(op: Conv, sizes: list[Size], where: str) -> Size:
    """(size + padding - kernel) // stride + 1."""
    (h, w), (top, left, bottom, right) = sizes[0], op.padding
    _, ky, kx, _ = op.weight.shape
    padded = h + top + bottom, w + left + right
    if padded[0] < ky or padded[1] < kx:
        raise ValueError(
            f"{where}: {padded[0]} x {padded[1]} samples with padding, kernel needs {ky} x {kx}"
        )
    return (padded[0] - ky) // op.stride + 1, (padded[1] - kx) // op.stride + 1


def conv_transpose(op: ConvTranspose, sizes: list[Size], where: str) -> Size:
    """(size - 1) * stride + kernel - padding."""
    (h, w), (top, left, bottom, right) = sizes[0], op.padding
    _, ky, kx, _ = op.weight.shape
    return (h - 1) * op.stride + ky - top - bottom, (w - 1) * op.stride + kx - left - right


def depth_to_space(op: DepthToSpace, sizes: list[Size], where: str) -> Size:
    """Block times larger."""
    return sizes[0][0] * op.block, sizes[0][1] * op.block


def space_to_depth(op: SpaceToDepth, sizes: list[Size], where: str) -> Size:
    """Block times smaller, without rest."""
    h, w = sizes[0]
    if h % op.block or w % op.block:
        raise ValueError(f"{where}: {h} x {w} samples, must be multiples of {op.block}")
    return h // op.block, w // op.block


def pad(op: Pad, sizes: list[Size], where: str) -> Size:
    """Larger by the padding."""
    top, left, bottom, right = op.padding
    return sizes[0][0] + top + bottom, sizes[0][1] + left + right


def crop(op: Crop, sizes: list[Size], where: str) -> Size:
    """Smaller by the padding."""
    (h, w), (top, left, bottom, right) = sizes[0], op.padding
    if h <= top + bottom or w <= left + right:
        raise ValueError(f"{where}: {h} x {w} samples, crop needs more than "
                         f"{top + bottom} x {left + right}")  # fmt: skip
    return h - top - bottom, w - left - right


RULES: dict[type[Op], Callable[..., Size]] = {
    Conv: conv, ConvTranspose: conv_transpose, Requantise: equal, Lut: equal, Add: equal,
    Mul: equal, Div: equal, DepthToSpace: depth_to_space, SpaceToDepth: space_to_depth,
    Concat: equal, Slice: equal, Pad: pad, Crop: crop,
}  # fmt: skip
