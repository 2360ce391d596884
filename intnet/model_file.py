"""The model file `.inm`: safetensors for the arrays, one canonical JSON for everything else.

Identity is the SHA-256 of the canonical content: the JSON (sorted keys, no spaces, UTF-8), then for
each tensor in order of its name the line `name dtype shape` and its little-endian bytes.
`model_frame` reads the header and the JSON; this file makes a model of them.
Loading derives everything anew that safety rests on: the hash, every type, the overflow proof, the
tables. A model that loads cannot make a kernel overflow or read out of bounds.
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
from intnet import architecture, files, model_frame, program_json, serial_context
from intnet.architecture import HYPERPRIOR, Order
from intnet.bounds import Bound, prove
from intnet.errors import ModelError
from intnet.interfaces import check_interfaces
from intnet.ports import check_range, check_tensor, infer, require
from intnet.program import Array, Program
from intnet.serial_context import Serial
from intnet.shapes import Size, shapes

FORMAT = 2  # the newest; a mean-scale hyperprior is format 1
TENSOR_DTYPES = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "I32": np.int32}
MAX_FILE = 2**28
QUALITIES = 64
MAX_INDEXED = 256  # tables of y where a program chooses among them
Y_STRIDE, Z_STRIDE = 16, 64  # pixels per latent, per hyper-latent
SCALES = {  # per program: sides of its input are multiples of this; its outputs' sides: times, over
    "analysis": (Z_STRIDE, 1, Y_STRIDE),
    "hyper_analysis": (Z_STRIDE // Y_STRIDE, 1, Z_STRIDE // Y_STRIDE),
    "prior": (1, Z_STRIDE // Y_STRIDE, 1),
    "context": (1, 1, 1),
    "synthesis": (1, Y_STRIDE, 1),
}


@dataclass(frozen=True, eq=False)
class Scaling:
    """How quality enters: per quality and channel, integers of the latents' quantiser.

    Where no program makes the mean it is 0, and where none makes the index it is 0: in a factorized
    prior index_offset alone says the table of a channel. With index_shift 1, 2 * table does.

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
    """A whole integer codec: programs, tables, scaling, and free metadata (name, licence, ...).

    programs: those of a family, see `intnet.architecture`. z_tables: one per channel of z, None
    where there is no z. order: of a context, None where there is none.
    """

    programs: Mapping[str, Program]
    y_tables: rangecoder.Tables
    z_tables: rangecoder.Tables | None
    scaling: Scaling
    metadata: Mapping[str, Any] = field(default_factory=dict)
    order: Order | None = None

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

    @property
    def family(self) -> tuple[str, ...]:
        """Names of the programs, in order. Raises ModelError for a set that is no family."""
        return architecture.family_of(self.programs)

    @property
    def format(self) -> int:
        """Version of its file: the first one that can say it."""
        return 1 if self.family == HYPERPRIOR and len(self.programs["prior"].outputs) == 2 else 2

    @cached_property
    def serial(self) -> Serial | None:
        """The context program where its order is serial. Raises ModelError if it cannot be."""
        is_serial = self.order == architecture.SERIAL
        return serial_context.serial(self.programs["context"]) if is_serial else None


def content(model: Model) -> tuple[str, dict[str, Array]]:
    """Canonical JSON and the tensors by name."""
    tensors: dict[str, Array] = {}
    programs = []
    for name in model.family:
        document, arrays = program_json.to_json(model.programs[name])
        programs.append(document)
        tensors |= arrays
    for name in ARRAYS:
        tensors[f"scaling/{name}"] = getattr(model.scaling, name)
    for name, tables in (("y", model.y_tables), ("z", model.z_tables)):
        if tables is not None:
            tensors[f"tables/{name}"] = np.frombuffer(rangecoder.to_bytes(tables), np.uint8)
    document = {
        "format": model.format,
        "programs": programs,
        "scaling": {name: getattr(model.scaling, name) for name in SHIFTS},
        "metadata": dict(model.metadata),
    }
    if model.order is not None:
        document["order"] = model.order
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


def to_bytes(model: Model) -> bytes:
    """The `.inm` file of a model, which is checked first as if it were loaded."""
    from safetensors.numpy import save as save_safetensors  # noqa: PLC0415  # reading needs it not

    check(model)
    document, tensors = content(model)
    arrays = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
    return reproducible(save_safetensors(arrays, {"intnet": document, "sha256": model.sha256}))


def reproducible(data: bytes) -> bytes:
    """The same safetensors file with its header's keys sorted; safetensors leaves them in any."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":"))
    padded = header + " " * (-len(header) % 8)  # the format aligns the tensors to 8 bytes
    return len(padded).to_bytes(8, "little") + padded.encode() + data[start:]


def save(model: Model, path: Path) -> None:
    """Write the file whole or not at all. Raises OSError."""
    files.write(path, to_bytes(model))


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
    """Every tensor by name, copied; the last one ends with the file."""
    got, size = len(data) - frame.start, model_frame.data_size(frame.entries)
    require(got == size, f"model: {got} bytes of tensors, must be {size}")
    tensors: dict[str, Array] = {}
    for name, entry in frame.entries.items():
        dtype = np.dtype(TENSOR_DTYPES[entry.dtype])
        raw = bytearray(data[frame.start + entry.begin : frame.start + entry.end])
        stored = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(entry.shape)
        tensors[name] = stored.astype(dtype, copy=False)
    return tensors


def assemble(document: Any, tensors: Mapping[str, Array]) -> Model:
    """A checked Model from parsed JSON and arrays."""
    typed = program_json.typed
    version = typed(document, "format", int, "model")
    require(1 <= version <= FORMAT, f"model: format {version}, this reader knows 1 to {FORMAT}")
    documents = typed(document, "programs", list, "model")
    programs = [program_json.from_json(d, tensors) for d in documents]
    names = tuple(p.name for p in programs)
    family = HYPERPRIOR if version == 1 else architecture.family_of(names)
    require(names == family, f"model: programs {names}, must be {family}")
    shifts = typed(document, "scaling", dict, "model")
    values: dict[str, Any] = {name: stored(tensors, f"scaling/{name}") for name in ARRAYS}
    values |= {name: typed(shifts, name, int, "model: scaling") for name in SHIFTS}
    y_tables = tables_of(tensors, "tables/y")
    z_tables = tables_of(tensors, "tables/z") if "prior" in names else None
    metadata = typed(document, "metadata", dict, "model")
    order = architecture.order_of(document["order"]) if "order" in document else None
    by_name = dict(zip(names, programs, strict=True))
    model = Model(by_name, y_tables, z_tables, Scaling(**values), metadata, order)
    check(model)
    require(model.format == version, f"model: format {version}, must be {model.format} for this")
    return model


def stored(tensors: Mapping[str, Array], name: str) -> Array:
    """A tensor that must be there."""
    require(name in tensors, f"model: tensor {name!r} is missing")
    return tensors[name]


def tables_of(tensors: Mapping[str, Array], name: str) -> rangecoder.Tables:
    """Tables from the bytes of a tensor."""
    try:
        return rangecoder.from_bytes(stored(tensors, name).tobytes())
    except rangecoder.TableError as error:
        raise ModelError(f"model: {error}") from None


def certify(model: Model) -> dict[str, list[Bound]]:
    """The overflow proof of every program. Raises BoundError or ModelError."""
    return {name: prove(model.programs[name]) for name in model.family}


def check(model: Model) -> None:
    """Proof, ports between programs, sizes of scaling and tables, the order of a context."""
    family = model.family
    has_context = "context" in family
    require(
        (model.order is not None) == has_context,
        f"model: order is {model.order!r:.80}, must be there with a context, and only there",
    )
    certify(model)
    ports = {name: infer(model.programs[name]) for name in family}
    z_count = 0 if model.z_tables is None else model.z_tables.n_tables
    y_hat = check_interfaces(model.programs, ports, z_count)
    check_scaling(model, y_hat.channels)
    check_strides(model)
    if model.order is not None:
        check_order(model.order, y_hat.channels)
    _ = model.serial  # its checks


def check_order(order: Order, channels: int) -> None:
    """Of a document's form, its groups as large as one another."""
    steps = architecture.order_of(order)
    if not isinstance(steps, str):
        groups = len(steps[0][0])
        require(channels % groups == 0,
                f"model: order has {groups} groups, must divide {channels} channels")  # fmt: skip


def check_scaling(model: Model, channels: int) -> None:
    """Shapes, dtypes and ranges of Scaling."""
    s, tables = model.scaling, model.y_tables.n_tables
    for name in ARRAYS[:3]:
        check_tensor(getattr(s, name), ("int32",), (QUALITIES, channels), f"model: scaling, {name}")
    check_tensor(s.dead_zone, ("int32",), (tables,), "model: scaling, dead_zone")
    if "prior" in model.programs:
        require(tables <= MAX_INDEXED, f"model: {tables} y tables, at most {MAX_INDEXED}")
    limits = {"gain": (1, 2**31 - 1), "inverse_gain": (1, 2**31 - 1), "dead_zone": (0, 2**15)}
    for name, (lo, hi) in limits.items():
        for value in (int(getattr(s, name).min()), int(getattr(s, name).max())):
            check_range(value, lo, hi, f"model: scaling, {name}")
    for name, (lo, hi) in SHIFTS.items():
        check_range(getattr(s, name), lo, hi, f"model: scaling, {name}")


def check_strides(model: Model) -> None:
    """Latents at 1/16, hyper-latents at 1/64 of a small picture; others: `check_size`."""
    for name in model.family:
        unit, _, _ = SCALES[name]
        check_size(model.programs[name], name, (2 * unit, 3 * unit))


def check_size(program: Program, name: str, size: Size) -> None:
    """A program turns inputs of `size` into outputs of the size that the codec counts on.

    Raises ModelError naming program, got and allowed. Reads no array: cheap for any size.
    """
    (height, width), (_, times, over) = size, SCALES[name]
    wanted = height * times // over, width * times // over
    try:
        got = shapes(program, {port.name: size for port in program.inputs})
    except ValueError as error:
        raise ModelError(f"model: {name}: {error}") from None
    for output in program.outputs:
        h, w = got[output]
        require(
            (h, w) == wanted,
            f"model: {name}, output {output!r}: turns {height} x {width} into {h} x {w}, "
            f"must be {wanted[0]} x {wanted[1]}",
        )
