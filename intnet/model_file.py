"""The model file `.inm`: safetensors for the arrays, one canonical JSON for everything else.

Identity is the SHA-256 of the canonical content: the JSON (sorted keys, no spaces, UTF-8), then for
each tensor in order of its name the line `name dtype shape` and its little-endian bytes.
`model_frame` reads the header and the JSON; this file makes a model of them.
Loading derives everything anew that safety rests on: the hash, every type, the overflow proof, the
tables. A model that loads cannot make a kernel overflow or read out of bounds.
A packed file has the tensors coded (`packed`); identity does not depend on that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import rangecoder
from intnet import files, model_frame, packed, packing, program_json
from intnet.bounds import Bound, prove
from intnet.errors import ModelError
from intnet.ports import Ports, check_range, check_tensor, infer, require
from intnet.program import Array, Program
from intnet.shapes import Size, shapes

FORMAT = 1
MAX_FILE = model_frame.MAX_FILE
PROGRAMS = ("analysis", "hyper_analysis", "prior", "synthesis")
QUALITIES, PIXEL_CHANNELS = 64, 3
Y_STRIDE, Z_STRIDE = 16, 64  # pixels per latent, per hyper-latent
SCALES = {  # per program: sides of its input are multiples of this; its outputs' sides: times, over
    "analysis": (Z_STRIDE, 1, Y_STRIDE),
    "hyper_analysis": (Z_STRIDE // Y_STRIDE, 1, Z_STRIDE // Y_STRIDE),
    "prior": (1, Z_STRIDE // Y_STRIDE, 1),
    "synthesis": (1, Y_STRIDE, 1),
}


@dataclass(frozen=True, eq=False)
class Scaling:
    """How quality enters: per quality and channel, integers of the latents' quantiser.

    gain: s32 (64, M), symbol ~ ((y - mean) * gain) >> gain_shift
    inverse_gain: s32 (64, M), y_hat = mean + round_shift(symbol * inverse_gain, inverse_shift)
    index_offset: s32 (64, M), table = round_shift(index + index_offset, index_shift), clipped
    dead_zone: s32 (tables,), rounding offset of the encoder in 1/65536 (32768: nearest)
    """

    gain: Array
    inverse_gain: Array
    index_offset: Array
    dead_zone: Array
    gain_shift: int
    inverse_shift: int
    index_shift: int


ARRAYS = ("gain", "inverse_gain", "index_offset", "dead_zone")
SHIFTS = {"gain_shift": (16, 40), "inverse_shift": (1, 30), "index_shift": (1, 15)}


@dataclass(frozen=True, eq=False)
class Model:
    """A whole integer codec: programs, tables, scaling, and free metadata (name, licence, ...)."""

    programs: Mapping[str, Program]
    y_tables: rangecoder.Tables
    z_tables: rangecoder.Tables
    scaling: Scaling
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Identity: hex SHA-256 of the canonical content."""
        return content_hash(*content(self))

    @property
    def model_id(self) -> bytes:
        """The 8 bytes that streams carry."""
        return bytes.fromhex(self.sha256)[:8]

    @property
    def name(self) -> str:
        """Name for people; identity is the hash."""
        return str(self.metadata.get("name", "unnamed"))


def content(model: Model) -> tuple[str, dict[str, Array]]:
    """Canonical JSON and the tensors by name."""
    tensors: dict[str, Array] = {}
    programs = []
    for name in PROGRAMS:
        document, arrays = program_json.to_json(model.programs[name])
        programs.append(document)
        tensors |= arrays
    for name in ARRAYS:
        tensors[f"scaling/{name}"] = getattr(model.scaling, name)
    for name, tables in (("y", model.y_tables), ("z", model.z_tables)):
        tensors[f"tables/{name}"] = np.frombuffer(rangecoder.to_bytes(tables), np.uint8)
    document = {
        "format": FORMAT,
        "programs": programs,
        "scaling": {name: getattr(model.scaling, name) for name in SHIFTS},
        "metadata": dict(model.metadata),
    }
    return model_frame.canonical(document), tensors


def content_hash(document: str, tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the canonical content."""
    digest = hashlib.sha256(document.encode())
    for name in sorted(tensors):
        x = tensors[name]
        shape = "x".join(map(str, x.shape))
        digest.update(f"\n{name} {x.dtype.name} {shape}\n".encode())
        digest.update(np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def to_bytes(model: Model, *, plain: bool = False) -> bytes:
    """The `.inm` file of a model, which is checked first as if it were loaded.

    plain: tensors as they are, for readers of the first version; twice the size, the same identity.
    Raises ModelError, also for tensors that the format allows in a plain file alone.
    """
    from safetensors.numpy import save as save_safetensors  # noqa: PLC0415  # reading needs it not

    check(model)
    document, tensors = content(model)
    metadata = {"intnet": document, "sha256": model.sha256}
    if not plain:
        metadata[model_frame.PACKED], payload = packing.packed_file(tensors)
        tensors = {model_frame.PACKED: payload}
    arrays = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    data = reproducible(save_safetensors(arrays, metadata))
    model_frame.read(data)
    return data


def reproducible(data: bytes) -> bytes:
    """The same safetensors file with its header's keys sorted; safetensors leaves them in any."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":"))
    padded = header + " " * (-len(header) % 8)  # the format aligns the tensors to 8 bytes
    return len(padded).to_bytes(8, "little") + padded.encode() + data[start:]


def save(model: Model, path: Path, *, plain: bool = False) -> None:
    """Write the file whole or not at all. plain: see `to_bytes`. Raises OSError, ModelError."""
    files.write(path, to_bytes(model, plain=plain))


def load(path: Path) -> Model:
    """Read and check a `.inm`. Raises ModelError, or OSError where it cannot be read."""
    size = path.stat().st_size
    require(size <= MAX_FILE, f"{path}: {size} bytes, at most {MAX_FILE}")
    try:
        return from_bytes(path.read_bytes())
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from None


def from_bytes(data: bytes) -> Model:
    """Inverse of to_bytes: hash, structure, proof and tables are all checked."""
    require(len(data) <= MAX_FILE, f"model: {len(data)} bytes, at most {MAX_FILE}")
    frame = model_frame.read(data)
    tensors = tensors_of(data, frame)
    got = content_hash(frame.document, tensors)
    require(got == frame.sha256, f"model: hash {got}, must be {frame.sha256}; damaged or altered")
    model = assemble(model_frame.parse_document(frame.document), tensors)
    unread = sorted(tensors.keys() - content(model)[1].keys())
    require(not unread, f"model: tensor {''.join(unread[:1])!r:.80} belongs to nothing in it")
    require(model.sha256 == frame.sha256, "model: content is not canonical")
    return model


def tensors_of(data: bytes, frame: model_frame.Frame) -> dict[str, Array]:
    """Every tensor by name, copied or unpacked; the data ends with the file."""
    got = len(data) - frame.start
    require(got == frame.size, f"model: {got} bytes of tensors, must be {frame.size}")
    if frame.packed:
        return packed.unpack(data[frame.start :], frame.entries)
    tensors: dict[str, Array] = {}
    for name, entry in frame.entries.items():
        dtype = np.dtype(packed.TYPES[entry.dtype])
        raw = bytearray(data[frame.start + entry.begin : frame.start + entry.end])
        stored = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(entry.shape)
        tensors[name] = stored.astype(dtype, copy=False)
    return tensors


def assemble(document: Any, tensors: Mapping[str, Array]) -> Model:
    """A checked Model from parsed JSON and arrays."""
    typed = program_json.typed
    version = typed(document, "format", int, "model")
    require(version == FORMAT, f"model: format {version}, this reader knows {FORMAT}")
    documents = typed(document, "programs", list, "model")
    programs = [program_json.from_json(d, tensors) for d in documents]
    names = tuple(p.name for p in programs)
    require(names == PROGRAMS, f"model: programs {names}, must be {PROGRAMS}")
    shifts = typed(document, "scaling", dict, "model")
    wanted = [f"scaling/{name}" for name in ARRAYS] + ["tables/y", "tables/z"]
    for name in wanted:
        require(name in tensors, f"model: tensor {name!r} is missing")
    values: dict[str, Any] = {name: tensors[f"scaling/{name}"] for name in ARRAYS}
    values |= {name: typed(shifts, name, int, "model: scaling") for name in SHIFTS}
    scaling = Scaling(**values)
    try:
        y_tables, z_tables = (rangecoder.from_bytes(tensors[n].tobytes()) for n in wanted[-2:])
    except rangecoder.TableError as error:
        raise ModelError(f"model: {error}") from None
    metadata = typed(document, "metadata", dict, "model")
    model = Model(dict(zip(names, programs, strict=True)), y_tables, z_tables, scaling, metadata)
    check(model)
    return model


def certify(model: Model) -> dict[str, list[Bound]]:
    """The overflow proof of every program. Raises BoundError or ModelError."""
    return {name: prove(program) for name, program in model.programs.items()}


def check(model: Model) -> None:
    """Proof, ports between programs, sizes of scaling and tables."""
    certify(model)
    ports = {name: infer(model.programs[name]) for name in PROGRAMS}
    check_interfaces(model, ports)
    check_scaling(model, ports["synthesis"][model.programs["synthesis"].inputs[0].name].channels)
    check_strides(model)


def check_interfaces(model: Model, ports: Mapping[str, Ports]) -> None:
    """What one program makes, the next one takes."""

    def ends(name: str, outputs: int) -> tuple[Any, list[Any]]:
        program = model.programs[name]
        counts = len(program.inputs), len(program.outputs)
        require(
            counts == (1, outputs),
            f"model: {name} has {counts} inputs and outputs, must be (1, {outputs})",
        )
        return program.inputs[0], [ports[name][output] for output in program.outputs]

    pixels, (y,) = ends("analysis", 1)
    y_in, (z,) = ends("hyper_analysis", 1)
    z_in, (mean, index) = ends("prior", 2)
    y_hat, (x_hat,) = ends("synthesis", 1)
    for what, port in (("analysis input", pixels), ("synthesis output", x_hat)):
        got = (port.dtype, port.channels, port.lo, port.hi)
        require(
            got == ("u8", PIXEL_CHANNELS, 0, 255), f"model: {what} is {got}, must be u8, 3, 0..255"
        )
    links = (("y", y, y_in), ("z", z, z_in), ("mean", mean, y_hat))
    for what, made, taken in links:
        require(
            made.channels == taken.channels and taken.lo <= made.lo and made.hi <= taken.hi
            and made.dtype == taken.dtype,
            f"model: {what} is made as {made} and taken as {taken}",
        )  # fmt: skip
    require(index.channels == mean.channels == y.channels, "model: y, mean, index: unlike channels")
    require(len(model.z_tables.minimum) == z.channels, f"model: z needs {z.channels} tables")


def check_scaling(model: Model, channels: int) -> None:
    """Shapes, dtypes and ranges of Scaling."""
    s, tables = model.scaling, len(model.y_tables.minimum)
    for name in ARRAYS[:3]:
        check_tensor(getattr(s, name), ("int32",), (QUALITIES, channels), f"model: scaling, {name}")
    check_tensor(s.dead_zone, ("int32",), (tables,), "model: scaling, dead_zone")
    require(tables <= 256, f"model: {tables} y tables, at most 256")
    limits = {"gain": (1, 2**31 - 1), "inverse_gain": (1, 2**31 - 1), "dead_zone": (0, 2**15)}
    for name, (lo, hi) in limits.items():
        for value in (int(getattr(s, name).min()), int(getattr(s, name).max())):
            check_range(value, lo, hi, f"model: scaling, {name}")
    for name, (lo, hi) in SHIFTS.items():
        check_range(getattr(s, name), lo, hi, f"model: scaling, {name}")


def check_strides(model: Model) -> None:
    """Latents at 1/16, hyper-latents at 1/64 of a small picture; others: `check_size`."""
    for name, (unit, _, _) in SCALES.items():
        check_size(model.programs[name], name, (2 * unit, 3 * unit))


def check_size(program: Program, name: str, size: Size) -> None:
    """A program turns an input of `size` into outputs of the size that the codec counts on.

    Raises ModelError naming program, got and allowed. Reads no array: cheap for any size.
    """
    (height, width), (_, times, over) = size, SCALES[name]
    wanted = height * times // over, width * times // over
    try:
        got = shapes(program, {program.inputs[0].name: size})
    except ValueError as error:
        raise ModelError(f"model: {name}: {error}") from None
    for output in program.outputs:
        h, w = got[output]
        require(
            (h, w) == wanted,
            f"model: {name}, output {output!r}: turns {height} x {width} into {h} x {w}, "
            f"must be {wanted[0]} x {wanted[1]}",
        )
