"""What runs in each Python: the reference decoder on vectors, a line of observations a case.

    python reference_cases.py CONFORMANCE DECODER CLASS... [--leave-out ID...]

Standard library only, in process, as an emulated Python can start no other. The first line is JSON
that says what this Python is. Each other line has, between tabs, the id of a case, the result, the
SHA-256 of all that was observed, and seconds. A result is `valid` or the class and the clause of
the refusal; `WRONG ` stands before it where the vector says otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
CODES = {"u8": "B", "s8": "b", "s16": "h", "s32": "i"}
CLASSES = (
    "arith", "op", "signal_range", "stress", "tables", "coder", "model", "prior",
    "invalid_stream", "stream", "real",
)  # fmt: skip


def load(path: Path) -> Any:
    """The module at a path, wherever it lies."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location(f"loaded_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def summary(dtype: str, shape: Sequence[int], values: Sequence[int]) -> Json:
    """An array as a vector has it; the byte order of this machine does not enter."""
    packed = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
    return {
        "dtype": dtype, "shape": list(shape), "sha256": hashlib.sha256(packed).hexdigest(),
    }  # fmt: skip


class Observer:
    """Runs vectors with a decoder; each method gives what `expected` of its class has."""

    def __init__(self, decoder: Any, conformance: Path) -> None:
        self.ref, self.vectors = decoder, conformance / "vectors" / "v1"
        self.check = load(conformance / "check_reference.py")
        self.recipe = self.check.recipe

    def read(self, vector: Json, field: str) -> bytes:
        """The file of a vector."""
        return (self.vectors / vector[field]).read_bytes()

    def tensor(self, dtype: str, tensor: Any) -> Json:
        """A tensor of three axes."""
        shape = (len(tensor), len(tensor[0]), len(tensor[0][0]))
        return summary(dtype, shape, self.ref.flat(tensor))

    def given(self, described: Json) -> Any:
        """A tensor that goes in."""
        return self.ref.unflat(self.recipe(described), *described["shape"])

    def op(self, vector: Json) -> Json:
        """Class op."""
        tensors = {
            name: self.ref.Array(t["dtype"], tuple(t["shape"]), self.recipe(t))
            for name, t in vector["tensors"].items()
        }
        program = self.ref.read_program(vector["program"], tensors)
        inputs = [self.given(vector["inputs"][port.name]) for port in program.inputs]
        made = zip(program.outputs, self.ref.run_program(program, inputs), strict=True)
        return {
            "outputs": {name: self.tensor(program.ports[name].dtype, t) for name, t in made},
            "bounds": [list(bound) for bound in self.ref.bounds(program)],
        }

    signal_range = op

    def arith(self, vector: Json) -> Json:
        """Class arith; what the decoder has no name for is an operator, or of encoders."""
        name = vector["function"]
        function = getattr(self.ref, name, None) or self.check.FUNCTIONS[name]
        return {"results": [function(*row) for row in vector["rows"]]}

    def stress(self, vector: Json) -> Json:
        """Class stress."""
        if "program" in vector:
            return self.op(vector)
        tables = [
            self.ref.make_table(t["minimum"], self.recipe(t["cdf"])) for t in vector["tables"]
        ]
        indexes, lanes = self.recipe(vector["indexes"]), vector["lanes"]
        symbols = self.recipe(vector["symbols"])
        payload = self.check.encode_payload(symbols, tables, indexes, lanes)
        again = self.ref.decode_payload(payload, tables, indexes, lanes)
        digest = hashlib.sha256(payload).hexdigest()
        return {
            "payload": {"bytes": len(payload), "sha256": digest},
            "symbols": summary("s32", (len(again),), again),
        }

    def tables(self, vector: Json) -> Json:
        """Class tables."""
        tables = self.ref.read_tables(bytes.fromhex(vector["tables"]))
        return {
            "minimum": [table.minimum for table in tables],
            "cdf": [list(table.cdf) for table in tables],
        }

    def coder(self, vector: Json) -> Json:
        """Class coder."""
        tables = self.ref.read_tables(bytes.fromhex(vector["tables"]))
        payload, indexes = bytes.fromhex(vector["payload"]), self.recipe(vector["indexes"])
        symbols = self.ref.decode_payload(payload, tables, indexes, vector.get("lanes", 1))
        return {"symbols": summary("s32", (len(symbols),), symbols)}

    def model(self, vector: Json) -> Json:
        """Class model."""
        model = self.ref.read_model(self.read(vector, "model"))
        found = [
            [name, *bound]
            for name, program in model.programs.items()
            for bound in self.ref.bounds(program)
        ]
        return {"sha256": model.sha256.hex(), "bounds": found}

    def prior(self, vector: Json) -> Json:
        """Class prior."""
        model = self.ref.read_model(self.read(vector, "model"))
        mean, index = self.ref.run_prior(model, self.given(vector["z"]))
        tables = {str(q): self.ref.table_indexes(model, q, index) for q in vector["qualities"]}
        return {
            "mean": self.tensor("s16", mean),
            "index": self.tensor("s16", index),
            "tables": {quality: self.tensor("u8", table) for quality, table in tables.items()},
        }

    def stream(self, vector: Json) -> Json:
        """Class stream."""
        model = self.ref.read_model(self.read(vector, "model"))
        picture = self.ref.decode(self.read(vector, "stream"), model)
        digest = hashlib.sha256(picture.samples).hexdigest()
        shape = {name: getattr(picture, name) for name in ("width", "height", "channels")}
        return {**shape, "sha256": digest}

    real = invalid_stream = stream

    def case(self, vector: Json) -> tuple[str, str]:
        """Result and hash of a vector."""
        must = vector["expected"]
        try:
            seen = getattr(self, vector["class"])(vector)
        except self.ref.CodecError as error:
            result, seen = f"{type(error).__name__} {error.clause}", str(error)
            right = type(error).__name__ == must.get("error")
            right &= vector.get("clause", error.clause) == error.clause
        except Exception as error:  # noqa: BLE001  # a crash is an observation too
            result, seen, right = f"CRASH {type(error).__name__}", str(error), False
        else:
            result, right = "valid", seen == without_values(must)
        text = json.dumps(seen, sort_keys=True)
        return ("" if right else "WRONG ") + result, hashlib.sha256(text.encode()).hexdigest()


def without_values(expected: Any) -> Any:
    """What a vector expects, less the values that its hashes cover."""
    if not isinstance(expected, dict):
        return expected
    covered = {"values"} if "sha256" in expected else set()
    return {k: without_values(v) for k, v in expected.items() if k not in covered}


def facts() -> Json:
    """What this Python is."""
    return {
        "machine": platform.machine(), "byteorder": sys.byteorder, "maxsize": sys.maxsize,
        "python": platform.python_version(),
    }  # fmt: skip


def main() -> int:
    """Print the facts and the lines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("conformance", type=Path)
    parser.add_argument("decoder", type=Path)
    parser.add_argument("classes", nargs="+", choices=CLASSES)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="ID")
    chosen = parser.parse_args()
    print(json.dumps(facts()), flush=True)
    observer = Observer(load(chosen.decoder), chosen.conformance)
    for kind in chosen.classes:
        for vector in json.loads((observer.vectors / f"{kind}.json").read_text("utf-8"))["vectors"]:
            if vector["id"] not in chosen.leave_out:
                began = time.perf_counter()
                result, digest = observer.case(vector)
                seconds = time.perf_counter() - began
                print(f"{vector['id']}\t{result}\t{digest}\t{seconds:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
