"""Digests of the tensors on the way to a result: where two machines first part.

Networks run once more, from the input of their stage and on whole tensors, so that decoding itself
has no hooks. A fused step gives one tensor, named after its last operation: reports of backends
that fuse unlike have the other names in common.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

import rangecoder
from intnet import (
    backends,
    codec,
    container,
    latent_coding,
    model_file,
    networks,
    program_json,
    strips,
)
from intnet.backends.execute import Backend, Rows, Step, Stream
from intnet.conform.arrays import Json, described, expand
from intnet.conform.folder import Setting, Stage, model_of
from intnet.errors import IntnetError
from intnet.model_file import Model
from intnet.program import Array, Program


class Trace:
    """Stages of one vector on a backend, in order."""

    def __init__(self, backend: str) -> None:
        self.name, self.backend = backend, backends.load(backend)
        self.stages: list[Stage] = []

    def add(self, stage: str, name: str, x: Array) -> Array:
        """A tensor as it is now."""
        self.stages.append(Stage(stage, name, str(described(x)["sha256"])))
        return x

    def network(self, stage: str, program: Program, inputs: dict[str, Array]) -> dict[str, Array]:
        """Every step of a program; its outputs by name."""
        steps, compute = self.backend.BACKEND

        def seen(step: Step, rows: list[Rows], out: Rows) -> None:
            compute(step, rows, out)
            self.add(stage, step.name, out.array)

        sizes = {name: x.shape[:2] for name, x in inputs.items()}
        return Stream(program, sizes, Backend(steps, seen)).push(inputs)

    def prior(self, model: Model, z: Array) -> list[Array]:
        """Outputs of the prior, uncropped."""
        if "prior" not in model.programs:
            return networks.prior_outputs(model, z, self.name)
        program = model.programs["prior"]
        made = self.network("prior", program, {program.inputs[0].name: z})
        return [made[name] for name in program.outputs]

    def tables(self, model: Model, index: Array, quality: int) -> Array:
        """Table of each symbol."""
        latents, count = self.backend.latents, model.y_tables.n_tables
        found = latents.table_indexes(index, model.scaling, quality, count)
        return self.add(f"tables of quality {quality}", "tables", found)


def trace(vector: Json, got: Json, setting: Setting) -> list[Stage]:
    """Stages of a valid vector that gave `got`, as far as they go; none between for some classes.

    A machine that parts from the others early refuses the stream later: that ends the stages.
    """
    found = Trace(setting.backend)
    if vector["result"] == "valid":
        with contextlib.suppress(IntnetError, rangecoder.RangeCoderError):
            run(found, vector, got, setting.folder)
    return found.stages


def run(found: Trace, vector: Json, got: Json, folder: Path) -> None:
    """By what the vector has; the samples are those that were decoded in strips."""
    if "program" in vector:
        of_program(found, vector)
    elif "z" in vector:
        of_prior(found, vector, folder)
    elif "stream" in vector:
        of_stream(found, vector, folder)
        if "sha256" in got:
            found.stages.append(Stage("samples", "samples", str(got["sha256"])))


def of_program(found: Trace, vector: Json) -> None:
    """Class op."""
    tensors = {name: expand(spec) for name, spec in vector["tensors"].items()}
    inputs = {name: expand(spec) for name, spec in vector["inputs"].items()}
    found.network("program", program_json.from_json(vector["program"], tensors), inputs)


def of_prior(found: Trace, vector: Json, folder: Path) -> None:
    """Class prior."""
    model = model_of(vector, folder)
    *_, index = found.prior(model, found.add("z", "z", expand(vector["z"])))
    for quality in vector["qualities"]:
        found.tables(model, index, quality)


def of_stream(found: Trace, vector: Json, folder: Path) -> dict[str, Array]:
    """A whole stream, as SPEC.md decodes it: at once. Outputs of its last network."""
    model = model_of(vector, folder)
    header, coded = container.unpack((folder / vector["stream"]).read_bytes())
    size = header.height, header.width
    z_payloads, y_payloads = (list(payloads) for payloads in zip(*coded, strict=True))
    z = codec.decode_z(z_payloads, model, header.grid, header.minor)
    z = found.add("z", "symbols", z)
    rows, columns = strips.grid(size, model_file.Y_STRIDE)
    outputs = [x[:rows, :columns].copy() for x in found.prior(model, z)]
    if "context" not in model.programs:
        found.tables(model, outputs[-1], header.quality)
    decoder = latent_coding.Decoder(model, header, y_payloads, found.name)
    y_hat, symbols, _ = map(np.concatenate, zip(*decoder.rows([outputs]), strict=True))
    found.add("y", "symbols", symbols)
    found.add("y", "y_hat", y_hat)
    port = networks.port(model, "synthesis")
    return found.network("synthesis", model.programs["synthesis"], {port.name: y_hat})
