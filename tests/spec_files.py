"""Forms of examples of files: `model`, `model-edits`, `stream`, `stream-edits`."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from spec_coder import BYTES, bytes_of, written
from spec_text import UnreadableError, parts, spaced

import rangecoder
from intnet import backends, codec, container, model_file, networks, tile_coding
from intnet.errors import IntnetError
from intnet.latents import Int32Array
from intnet.model_file import Model
from intnet.program import Array

VECTORS = Path(__file__).parents[1] / "conformance" / "vectors" / "v1"


def file_of(line: str) -> Path:
    """`model NAME` or `stream NAME`: a file of the conformance vectors."""
    word, _, name = line.partition(" ")
    if word not in ("model", "stream") or not (VECTORS / name).is_file():
        raise UnreadableError(line)
    return VECTORS / name


@functools.cache
def loaded(path: Path) -> Model:
    """A model file, once."""
    return model_file.load(path)


def header_of(data: bytes) -> dict[str, dict[str, Any]]:
    """The safetensors header."""
    found: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return found


def tensors_of(path: Path) -> dict[str, Array]:
    """Every array of a model file."""
    found: dict[str, Array] = load_safetensors(path.read_bytes())
    return found


def model_form(lines: list[str], backend: str) -> Iterator[str]:
    """A model file: the start of its bytes, its document, what is hashed, its tables."""
    path = file_of(lines[0])
    data, tensors, model = path.read_bytes(), tensors_of(path), loaded(path)
    head, header = bytes_of([line for line in lines if BYTES.fullmatch(line)])[0], header_of(data)
    assert data.startswith(head)
    text = header["__metadata__"]["intnet"]
    digest = hashlib.sha256(str(text).encode())
    tables = iter(written(model.y_tables) + written(model.z_tables))
    names = iter(sorted(tensors))
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "document":
            yield f"document = {text}"
        elif word == "entry":
            name = parts(rest)[0]
            entry = json.dumps(header[name], sort_keys=True, separators=(",", ":"))
            yield f"entry {name} = {entry}"
        elif word == "hashed":
            name = next(names)
            title = f"{name} {tensors[name].dtype.name} {'x'.join(map(str, tensors[name].shape))}"
            begin, end = header[name]["data_offsets"]
            start = 8 + int.from_bytes(data[:8], "little")
            digest.update(f"\n{title}\n".encode() + data[start + begin : start + end])
            yield f"hashed {title} = {end - begin} bytes"
        elif word == "sha256":
            assert next(names, None) is None, "tensors that the text leaves out"
            assert digest.hexdigest() == model.sha256
            yield f"sha256 = {digest.hexdigest()}"
        elif word == "model_id":
            yield f"model_id = {model.model_id.hex()}"
        elif word == "table":
            yield next(tables)
        elif word == "size":
            yield f"size = {len(data)}"
        elif BYTES.fullmatch(line) or line == lines[0]:
            yield line
        else:
            raise UnreadableError(line)


def result_of(data: bytes) -> str:
    """`accepted`, or the class of the error."""
    try:
        model_file.from_bytes(data)
    except IntnetError as error:
        return type(error).__name__
    return "accepted"


def model_edits_form(lines: list[str], backend: str) -> Iterator[str]:
    """Edits of a model's document, one at a time, hashed anew: `"OLD" -> "NEW" = CLASS`."""
    path = file_of(lines[0])
    tensors = tensors_of(path)
    document = str(header_of(path.read_bytes())["__metadata__"]["intnet"])
    yield lines[0]
    for line in lines[1:]:
        before, _ = parts(line)
        old, new = (json.loads(text) for text in before.split(" -> "))
        if document.count(old) < 1:
            raise UnreadableError(f"no {old!r} in the document")
        yield f"{before} = {result_of(saved(document.replace(old, new, 1), tensors))}"


def saved(document: str, tensors: Mapping[str, Array]) -> bytes:
    """A model file of a document, hashed as it stands."""
    metadata = {"intnet": document, "sha256": model_file.content_hash(document, tensors)}
    made: bytes = save_safetensors(
        {n: np.ascontiguousarray(x) for n, x in tensors.items()}, metadata
    )
    return made


def stream_form(lines: list[str], backend: str) -> Iterator[str]:
    """A whole stream, byte by byte, and every stage of its decoding."""
    paths = [file_of(line) for line in lines[:2]]
    model, data = loaded(paths[0]), bytes_of(lines[2:])[0]
    assert data == paths[1].read_bytes(), "not the bytes of the file"
    stages = dict(stages_of(data, model, backend))
    for line in lines:
        if line in lines[:2]:
            yield line
        elif found := BYTES.fullmatch(line):
            name, equals, _ = found[3].partition(" = ")
            yield line if not equals else f"{found[1]} {found[2]} {name} = {stages[name]}"
        else:
            name = parts(line)[0]
            yield f"{name} = {stages.get(name, 'nothing')}"


def stages_of(data: bytes, model: Model, backend: str) -> Iterator[tuple[str, str]]:
    """Names and values of everything on the way from a stream to its samples."""
    header, ((z_payload, y_payload),) = container.unpack(data)
    yield "magic", repr(container.MAGIC)[2:-1]
    yield "major", str(data[6])
    yield from ((name, shown(value)) for name, value in header._asdict().items())
    yield "flags", str(data[16])
    yield "z_bytes", str(len(z_payload))
    yield "z_payload", f"{len(z_payload)} bytes"
    yield "y_payload", f"{len(y_payload)} bytes"
    yield "checksum", f"{zlib.crc32(data[:-4]):08x}"
    size, scaling = (header.height, header.width), model.scaling
    z = codec.decode_z([z_payload], model, header.grid, header.minor)
    mean, index = networks.prior(model, z, *size, backend)
    latents = backends.load(backend).latents
    tables = latents.table_indexes(index, scaling, header.quality, model.y_tables.n_tables)
    symbols = symbols_of(y_payload, tables, model, header.minor)
    port = networks.port(model, "synthesis")
    y_hat = latents.dequantise(symbols, mean, scaling, header.quality, port)
    arrays = {"z": z, "mean": mean, "index": index, "table": tables, "symbols": symbols,
              "y_hat": y_hat}  # fmt: skip
    for name, x in arrays.items():
        yield name, f"{'x'.join(map(str, x.shape))}: {spaced(x.ravel())}"
    yield "inverse_gain", spaced(scaling.inverse_gain[header.quality])
    yield "index_offset", spaced(scaling.index_offset[header.quality])
    (x_hat,) = networks.run(model, "synthesis", y_hat, backend)
    yield "x_hat shape", "x".join(map(str, x_hat.shape))
    pixels = codec.decode(data, [model], backend).pixels
    yield "pixels shape", "x".join(map(str, pixels.shape))
    for row, column in ((0, 0), (0, 16), (17, 40), (header.height - 1, header.width - 1)):
        if row < header.height and column < header.width:
            yield f"pixel {row} {column}", spaced(pixels[row, column])
    yield "pixels crc32", f"{zlib.crc32(pixels.tobytes()):08x}"
    yield "pixels sha256", hashlib.sha256(pixels.tobytes()).hexdigest()


def symbols_of(payload: bytes, tables: Array, model: Model, minor: int) -> Int32Array:
    """Symbols of y."""
    lanes = tile_coding.lanes_of(minor, tables.size)
    symbols: Int32Array = rangecoder.decode(payload, tables.ravel(), model.y_tables, lanes)
    return symbols.reshape(tables.shape)


def shown(value: object) -> str:
    """A header field."""
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, int) else "absent"


def stream_edits_form(lines: list[str], backend: str) -> Iterator[str]:
    """Edits of a stream, one at a time, its checksum made right: `OFFSET HEX = CLASS`."""
    paths = [file_of(line) for line in lines[:2]]
    model, data = loaded(paths[0]), paths[1].read_bytes()
    yield from lines[:2]
    for line in lines[2:]:
        before, _ = parts(line)
        at, new = before.split(maxsplit=1)
        body, fresh = bytearray(data[:-4]), bytes.fromhex(new)
        body[int(at) : int(at) + len(fresh)] = fresh
        edited = bytes(body) + struct.pack("<I", zlib.crc32(bytes(body)))
        try:
            codec.decode(edited, [model], backend)
        except IntnetError as error:
            yield f"{before} = {type(error).__name__}"
        else:
            yield f"{before} = accepted"


FORMS = {
    "model": model_form,
    "model-edits": model_edits_form,
    "stream": stream_form,
    "stream-edits": stream_edits_form,
}
