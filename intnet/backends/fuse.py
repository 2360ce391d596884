"""Which operations of a program the compiled kernels compute in one pass.

    [space_to_depth] conv [add | lut | depth_to_space]
    conv_transpose [lut]

The blocks of space_to_depth are the taps of a strided convolution, those of depth_to_space are
places where a convolution may put its outputs. The sum of a residual block, or a table in which the
outputs are looked up, ends the epilogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from weakref import WeakKeyDictionary

from intnet.backends.execute import Step
from intnet.ports import Ports, infer
from intnet.program import (
    Add,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Lut,
    Op,
    Program,
    SpaceToDepth,
)

FUSED: WeakKeyDictionary[Program, tuple[Step, ...]] = WeakKeyDictionary()


def steps(program: Program) -> tuple[Step, ...]:
    """Steps of a program, made once. Each stands where its last operation stood."""
    if program not in FUSED:
        FUSED[program] = tuple(fused(program, infer(program)))
    return FUSED[program]


def fused(program: Program, ports: Ports) -> Iterable[Step]:
    """Join every convolution with what comes before and after it."""
    read = list(chain(program.outputs, *(op.inputs for op in program.ops)))
    chains: list[list[Op]] = []
    for op in program.ops:
        # the chain that ends in a tensor which this operation alone reads
        before = next((c for c in chains if c[-1].name in op.inputs
                       and read.count(c[-1].name) == 1 and joins(c, op, ports)), [])  # fmt: skip
        if before:
            chains.remove(before)
        chains.append([*before, op])
    for ops in chains:
        others = [name for op in ops[1:] for name in op.inputs if name not in {o.name for o in ops}]
        yield Step(tuple(ops), (*ops[0].inputs, *others))


def joins(before: list[Op], op: Op, ports: Ports) -> bool:
    """Whether an operation is computed in one pass with those before it."""
    last = before[-1]
    if isinstance(op, Conv):
        plain = op.groups == op.stride == 1 and op.padding == (0, 0, 0, 0)
        return isinstance(last, SpaceToDepth) and plain and op.weight.shape[1:3] == (1, 1)
    if not isinstance(last, Conv | ConvTranspose) or ports[last.inputs[0]].dtype == "s32":
        return False
    if isinstance(op, Lut):
        return True
    if not isinstance(last, Conv) or last.dtype == "s32":
        return False
    if isinstance(op, Add):
        return all(ports[name].dtype == "s16" for name in op.inputs if name != last.name)
    return isinstance(op, DepthToSpace) and last.groups == 1
