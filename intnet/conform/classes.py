"""What each class of vectors gives: the form of `expected`, computed anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

import rangecoder
from intnet import backends, codec, model_file, networks, program_json
from intnet.bounds import prove
from intnet.conform import arith, coder
from intnet.conform.arrays import Json, described, expand
from intnet.conform.folder import Setting, model_of
from intnet.errors import IntnetError
from intnet.latents import mean_and_index, table_indexes
from intnet.limits import NO_LIMITS


def results(kind: str, vector: Json, setting: Setting) -> Json:
    """What a vector gives: its class's results, or the class of the error that refuses it."""
    try:
        return CLASSES[kind](vector, setting)
    except (IntnetError, rangecoder.RangeCoderError) as error:
        return {"error": type(error).__name__}


def op_results(vector: Json, setting: Setting) -> Json:
    """A program (nearly always of one op) on its inputs."""
    tensors = {name: expand(spec) for name, spec in vector["tensors"].items()}
    program = program_json.from_json(vector["program"], tensors)
    bounds = prove(program)
    inputs = {name: expand(spec) for name, spec in vector["inputs"].items()}
    outputs = backends.load(setting.backend).run(program, inputs)
    return {
        "outputs": {name: described(x) for name, x in outputs.items()},
        "bounds": [[b.op, b.channel, b.quantity, b.bound] for b in bounds],
    }


def tables_results(vector: Json, setting: Setting) -> Json:  # noqa: ARG001  # one signature
    """Serialised CDF tables."""
    data = bytes.fromhex(vector["tables"])
    tables = rangecoder.from_bytes(data)
    if rangecoder.to_bytes(tables) != data:
        raise ValueError("tables are not written back as they were read")
    cdfs = np.split(tables.cdf, tables.start[1:-1])
    return {"minimum": tables.minimum.tolist(), "cdf": [cdf.tolist() for cdf in cdfs]}


def coder_results(vector: Json, setting: Setting) -> Json:
    """A payload."""
    return coder.of_payload(vector, setting.backend)


def stress_results(vector: Json, setting: Setting) -> Json:
    """A long program, or many symbols."""
    if "program" in vector:
        return op_results(vector, setting)
    return coder.of_symbols(vector, setting.backend)


def arith_results(vector: Json, setting: Setting) -> Json:
    """A function of SPEC.md on rows of arguments."""
    name, rows = vector["function"], vector["rows"]
    return {"results": [arith.result(setting.backend, name, row) for row in rows]}


def model_results(vector: Json, setting: Setting) -> Json:
    """A model file: its identity and its proof."""
    model = model_file.load(setting.folder / vector["model"])
    bounds = [
        [name, b.op, b.channel, b.quantity, b.bound]
        for name, found in model_file.certify(model).items()
        for b in found
    ]
    return {"sha256": model.sha256, "bounds": bounds}


def prior_results(vector: Json, setting: Setting) -> Json:
    """Hyper-latents to mean and index, and to the table of every symbol at some qualities."""
    model = model_of(vector, setting.folder)
    outputs = networks.run(model, "prior", expand(vector["z"]), setting.backend)
    mean, index = mean_and_index(outputs, networks.port(model, "synthesis"))
    count = model.y_tables.n_tables
    tables = {
        str(q): described(table_indexes(index, model.scaling, q, count))
        for q in vector["qualities"]
    }
    return {"mean": described(mean), "index": described(index), "tables": tables}


def stream_results(vector: Json, setting: Setting) -> Json:
    """A whole stream. sha256: of the samples, 8 bits each, row-major, channel-last."""
    model = model_of(vector, setting.folder)
    stream = (setting.folder / vector["stream"]).read_bytes()
    pixels = codec.decode(stream, [model], setting.backend, NO_LIMITS).pixels
    height, width, channels = pixels.shape
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {"width": width, "height": height, "channels": channels, "sha256": digest}


CLASSES: dict[str, Callable[[Json, Setting], Json]] = {
    "arith": arith_results, "op": op_results, "signal_range": op_results,
    "stress": stress_results, "tables": tables_results, "coder": coder_results,
    "model": model_results, "prior": prior_results, "stream": stream_results,
    "real": stream_results, "invalid_stream": stream_results,
}  # fmt: skip
