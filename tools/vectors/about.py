"""What the file of a class says of all its vectors."""

from __future__ import annotations

from typing import NamedTuple


class About(NamedTuple):
    """The head of a class file."""

    about: str
    recipe: tuple[str, ...]  # the fields of a vector that say what goes in
    provenance: str  # how inputs and expected results were made


PROGRAM = ("program", "tensors", "inputs")
DEFINITION = (
    "Outputs: tools/vectors/definition.py, Python ints that share no line with a backend. "
    "Bounds: intnet/bounds.py."
)
STREAM = ("model", "stream")
ABOUT = {
    "arith": About(
        "A function that SPEC.md names, rows of its arguments; a result a row.",
        ("function", "rows"),
        "Rows: tools/vectors/arith.py. Results: the same file, in exact fractions and counted "
        "ranges that share no line with the codec.",
    ),
    "op": About(
        "A program on inputs; outputs, and bounds (op, channel, quantity, largest |value|).",
        PROGRAM,
        f"Inputs: tools/vectors/ops.py and bad_programs.py. {DEFINITION}",
    ),
    "signal_range": About(
        "As op; `reached` has the least and greatest value of each quantity of the proof, and its "
        "bound: at least nine tenths of it.",
        PROGRAM,
        f"Inputs: tools/vectors/signal_range.py. {DEFINITION} Reached: definition.py.",
    ),
    "stress": About(
        "As op; or symbols with tables by recipe (cdf[1] to cdf[n] of each), which encode to a "
        "payload of that many bytes and that sha256, and decode again to themselves.",
        (*PROGRAM, "tables", "indexes", "symbols", "lanes"),
        f"Inputs: tools/vectors/stress.py. {DEFINITION} Payloads: rangecoder/reference.py.",
    ),
    "tables": About(
        "Serialised CDF tables in hexadecimal; all cdf values, from 0 to 65536.",
        ("tables",),
        "Bytes and values: tools/vectors/coder.py, by the rule and not by the codec's code.",
    ),
    "coder": About(
        "A payload in hexadecimal, the table of each symbol; the symbols, int32.",
        ("tables", "indexes", "lanes", "payload"),
        "Symbols: tools/vectors/coder.py. Payloads: rangecoder/reference.py, Python ints; those "
        "that are refused, by hand.",
    ),
    "model": About(
        "A model file; its content hash and proof (program, op, channel, quantity, bound).",
        ("model",),
        "Files: tools/vectors/tiny_model.py, minimal_model.py, wide_model.py, family_models.py, "
        "bad_models.py, families.py; "
        "photo.inm: a copy of intnet/models/photo.inm. Hash and bounds: intnet/model_file.py.",
    ),
    "prior": About(
        "Hyper-latents; mean and index, and the table of each symbol by quality.",
        ("model", "z", "qualities"),
        "Inputs: tools/vectors/streams.py. Mean and index: tools/vectors/definition.py. Tables: "
        "intnet/latents.py.",
    ),
    "stream": About(
        "A stream; sha256 of its samples.",
        STREAM,
        "Pictures and symbols: tools/vectors/streams.py, families.py. Streams and samples: "
        "intnet/codec.py, NumPy backend.",
    ),
    "real": About(
        "A stream of a photograph; sha256 of its samples. `source` is the rectangle of a Kodak "
        "picture, columns from left and rows from top, and the quality.",
        (*STREAM, "source"),
        "Streams and samples: tools/vectors/real.py with intnet/codec.py, NumPy backend.",
    ),
    "invalid_stream": About(
        "A stream with one fault, which a decoder rejects; error is our class of it.",
        STREAM,
        "Streams: tools/vectors/bad_streams.py, families.py, from those of class stream. Errors: "
        "stated there.",
    ),
}
