"""Cases as they lie in memory: jobs, arrays and outputs at addresses known beforehand.

    int64 count; per case int64 kind, address of the job, address of the outputs, their bytes

then everything else, at multiples of 64 bytes. Outputs lie between guards and are sent with them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emulation.cases import KINDS, Array, Case
from intnet.backends.simd import job as word
from intnet.backends.simd import pack
from intnet.backends.simd.isa import Isa

GUARD, FILL = 64, 0xA5  # bytes before and after the outputs, and what untouched bytes hold
ENTRY_WORDS = 4


@dataclass
class Image:
    """Memory from the address `base` on, and where the outputs of each case lie in it."""

    base: int
    data: bytearray
    outputs: list[slice] = field(default_factory=list)

    def put(self, array: Array) -> int:
        """Address of a copy of an array."""
        self.data.extend(bytes(-len(self.data) % 64))
        address = self.base + len(self.data)
        self.data.extend(np.ascontiguousarray(array).tobytes())
        return address


def out_step(case: Case) -> int:
    """Bytes from an output position to the next; some lie untouched between."""
    return (len(case.bias) + 3) * np.dtype(case.out).itemsize


def expected(case: Case) -> bytes:
    """The outputs of a case with the guards and gaps around them."""
    wanted = case.outputs()
    rows = np.full((case.positions, out_step(case)), FILL, np.uint8)
    rows[:, : wanted[0].nbytes] = wanted.view(np.uint8).reshape(case.positions, -1)
    guard = bytes([FILL]) * GUARD
    return guard + rows.tobytes() + guard


def compare(cases: list[Case], wanted: list[bytes], got: bytes) -> list[str]:
    """What is wrong; the last case must be, and silence is no answer."""
    if len(got) != sum(map(len, wanted)):
        return [f"{len(got)} bytes came, not {sum(map(len, wanted))}: the processor stopped"]
    faults, at = [], 0
    for case, must in zip(cases, wanted, strict=True):
        if got[at : at + len(must)] != must:
            faults.append(case.name)
        at += len(must)
    if wanted and got[-len(wanted[-1]) :] == wanted[-1]:
        return [*faults, "the control: a wrong weight went unseen"]
    return faults[:-1]


def build(isa: Isa, cases: list[Case], base: int) -> Image:
    """All cases for memory that begins at `base`, a multiple of 64."""
    image = Image(base, bytearray(8 * (1 + ENTRY_WORDS * len(cases))))
    words = [len(cases)]
    for case in cases:
        size = case.positions * out_step(case) + 2 * GUARD
        out = image.put(np.full(size, FILL, np.uint8))
        image.outputs.append(slice(out - base, out - base + size))
        job = image.put(job_of(isa, case, image, out + GUARD))
        words += [KINDS.index(case.kind), job, out, size]
    image.data[: 8 * len(words)] = np.array(words, np.int64).tobytes()
    return image


def job_of(isa: Isa, case: Case, image: Image, out: int) -> Array:
    """The words of a job, its arrays placed in the image."""
    item, lanes = case.inputs.itemsize, pack.lanes(isa, [np.arange(len(case.bias))])
    weight, bias = pack.taken(case.weight, lanes), case.bias
    if case.kind == "depthwise":
        weights = pack.depthwise_weights(isa, weight)
    else:
        weights = pack.weights(isa, case.kind, weight)
    if case.kind == "u8":  # wraps as the sums do
        offset = isa.u8_offset * case.weight.astype(np.int64).sum((1, 2))
        bias = (bias + offset).astype(np.int32)
    rescaling = (pack.taken(x, lanes) for x in (bias, case.multiplier, case.shift))
    parameters = pack.parameters(isa, *rescaling, high=case.high)
    out_bytes = np.dtype(case.out).itemsize
    targets = pack.targets(isa, lanes, out_bytes * np.arange(len(case.bias)))
    job = np.zeros(word.JOB_WORDS, np.int64)
    job[word.RUNS] = image.put(image.put(case.inputs) + case.starts * item)
    job[word.OFFSET], job[word.STEP] = case.offset * item, case.step * item
    job[word.N_RUNS], job[word.GROUPS] = weights.shape[1], weights.shape[2]
    job[word.TAP_STEP] = case.tap_step * item
    job[word.WEIGHTS], job[word.PARAMETERS] = image.put(weights[0]), image.put(parameters[0])
    job[word.TARGETS] = image.put(targets[0])
    job[word.OUT], job[word.OUT_STEP] = out, out_step(case)
    job[word.OUT_BYTES] = out_bytes
    if case.addend is not None:
        job[word.ADDEND], job[word.ADDEND_STEP] = image.put(case.addend), case.addend[0].nbytes
    if case.table is not None:
        job[word.TABLE] = image.put(case.table)
    job[word.HIGH] = case.high
    job[word.LO], job[word.HI] = case.limits
    job[word.SUM_LO], job[word.SUM_HI] = case.sum_limits
    job[word.POSITIONS] = case.positions
    return job


def run_here(isa: Isa, panels: Mapping[str, int], cases: list[Case]) -> bytes:
    """The outputs of cases, guards included, by panels of this process at these addresses."""
    size = len(build(isa, cases, 0).data)
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    image = build(isa, cases, buffer.ctypes.data + start)
    memory = buffer[start : start + size]
    memory[:] = np.frombuffer(image.data, np.uint8)
    entries = memory[8 : 8 * (1 + ENTRY_WORDS * len(cases))].view(np.int64)
    for case, entry in zip(cases, entries.reshape(-1, ENTRY_WORDS), strict=True):
        ctypes.CFUNCTYPE(None, ctypes.c_int64)(panels[case.kind])(int(entry[1]))
    return b"".join(memory[place].tobytes() for place in image.outputs)
