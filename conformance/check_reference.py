"""Runs reference_decoder.py on all vectors, and on the examples and sentences of SPEC.md.

    python conformance/check_reference.py [--only 'op/conv*'] [--class op] [--small]

One line a class; faults go to stderr. Exit code 1 on any failure, and where a class has no cases.
Standard library only. The encoder of the range coder below is here, not in the decoder, to check
that symbols encoded again give the payload.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import reference_decoder as ref  # noqa: E402

VECTORS = HERE / "vectors" / "v1"
SPEC = HERE / "SPEC.md"
CODES = {"u8": "B", "s8": "b", "s16": "h", "s32": "i"}
Json = dict[str, Any]


def equal(got: Any, must: Any, what: str) -> None:
    """A fault where they differ."""
    if got != must:
        raise AssertionError(f"{what}: {str(got)[:200]}, must be {str(must)[:200]}")


# ---- Vectors ------------------------------------------------------------------------------------
def recipe(array_of: Json) -> list[int]:
    """The elements of an array of a vector."""
    count = 1
    for side in array_of["shape"]:
        count *= side
    if "values" in array_of:
        return list(array_of["values"])
    if "fill" in array_of:
        return [array_of["fill"]] * count
    if "ramp" in array_of:
        lo, n = array_of["ramp"]
        return [lo + i % n for i in range(count)]
    state, lo, hi = array_of["lcg"]
    values = []
    for _ in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        values.append(lo + (state * (hi - lo + 1) >> 32))
    return values


def check_array(values: list[int], shape: tuple[int, ...], must: Json, what: str) -> None:
    """Shape, values and hash."""
    equal(list(shape), must["shape"], f"{what}: shape")
    if "values" in must:
        equal(values, must["values"], what)
    packed = array(CODES[must["dtype"]], values)
    if sys.byteorder == "big":
        packed.byteswap()
    equal(hashlib.sha256(packed.tobytes()).hexdigest(), must["sha256"], f"{what}: sha256")


def check_tensor(t: ref.Tensor, must: Json, what: str) -> None:
    """As check_array."""
    check_array(ref.flat(t), (len(t), len(t[0]), len(t[0][0])), must, what)


def read(vector: Json, field: str) -> bytes:
    """The file of a vector."""
    return (VECTORS / vector[field]).read_bytes()


def op_of(vector: Json) -> tuple[ref.Program, list[ref.Tensor]]:
    """The program of a vector, and what it is given."""
    tensors = {
        name: ref.Array(t["dtype"], tuple(t["shape"]), recipe(t))
        for name, t in vector["tensors"].items()
    }
    program = ref.read_program(vector["program"], tensors)
    inputs = [vector["inputs"][port.name] for port in program.inputs]
    return program, [ref.unflat(recipe(t), *t["shape"]) for t in inputs]


def run_op(vector: Json) -> None:
    """Class op."""
    program, inputs = op_of(vector)
    outputs = ref.run_program(program, inputs)
    must = vector["expected"]
    equal(sorted(set(program.outputs)), sorted(must["outputs"]), "outputs")
    for name, tensor in zip(program.outputs, outputs, strict=True):
        equal(program.ports[name].dtype, must["outputs"][name]["dtype"], "dtype")
        check_tensor(tensor, must["outputs"][name], name)
    equal([list(bound) for bound in ref.bounds(program)], must["bounds"], "bounds")


def run_signal_range(vector: Json) -> None:
    """Class signal_range."""
    run_op(vector)
    equal(reached(vector), vector["reached"], "reached")


def reached(vector: Json) -> list[Json]:
    """What the decoder's sums and products come to, beside their bounds."""
    program, inputs = op_of(vector)
    seen: dict[tuple[str, str], list[int]] = {}
    rq, pairs = ref.rq, dict(ref.PAIRS)

    def note(op: Any, quantity: str, *values: int) -> None:
        ends = seen.setdefault((op.name, quantity), [values[0]] * 2)
        ends[:] = min(ends[0], *values), max(ends[1], *values)

    def watched_rq(op: Any, a: int, c: int) -> int:
        if op.kind != "requantise":
            note(op, "accumulator", a)
        product = a * op.multiplier.values[c]
        note(op, "product", product, product + 2 ** (op.shift.values[c] - 1))
        return rq(op, a, c)

    def watched_add(op: Any, a: int, b: int, c: int) -> int:
        note(op, "accumulator", a + b)
        return pairs["add"](op, a, b, c)

    def watched_div(op: Any, a: int, b: int, c: int) -> int:
        numerator = 2 * a * 2**op.left_shift
        note(op, "product", numerator, numerator + b)
        return pairs["div"](op, a, b, c)

    ref.rq = watched_rq
    ref.PAIRS |= {"add": watched_add, "div": watched_div}
    try:
        ref.run_program(program, inputs)
    finally:
        ref.rq = rq
        ref.PAIRS |= pairs
    proved = {(op, quantity): bound for op, _, quantity, bound in ref.bounds(program)}
    return [
        {"op": op, "quantity": quantity, "least": ends[0], "greatest": ends[1],
         "bound": proved[op, quantity]}
        for (op, quantity), ends in seen.items()
    ]  # fmt: skip


def run_stress(vector: Json) -> None:
    """Class stress: a program, or symbols that are encoded and decoded again."""
    if "program" in vector:
        run_op(vector)
        return
    tables = [ref.make_table(t["minimum"], recipe(t["cdf"])) for t in vector["tables"]]
    indexes, lanes = recipe(vector["indexes"]), vector["lanes"]
    payload = encode_payload(recipe(vector["symbols"]), tables, indexes, lanes)
    summary = {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    equal(summary, vector["expected"]["payload"], "payload")
    symbols = ref.decode_payload(payload, tables, indexes, lanes)
    check_array(symbols, (len(symbols),), vector["expected"]["symbols"], "symbols")


def run_arith(vector: Json) -> None:
    """Class arith."""
    function = FUNCTIONS[vector["function"]]
    for row, must in zip(vector["rows"], vector["expected"]["results"], strict=True):
        equal(function(*row), must, f"{vector['function']}{tuple(row)}")


def run_tables(vector: Json) -> None:
    """Class tables."""
    tables = ref.read_tables(bytes.fromhex(vector["tables"]))
    equal([table.minimum for table in tables], vector["expected"]["minimum"], "minimum")
    equal([table.cdf for table in tables], vector["expected"]["cdf"], "cdf")


def run_coder(vector: Json) -> None:
    """Class coder."""
    tables = ref.read_tables(bytes.fromhex(vector["tables"]))
    payload, indexes = bytes.fromhex(vector["payload"]), recipe(vector["indexes"])
    symbols = ref.decode_payload(payload, tables, indexes, vector["lanes"])
    check_array(symbols, (len(symbols),), vector["expected"]["symbols"], "symbols")
    again = encode_payload(symbols, tables, indexes, vector["lanes"])
    equal(again.hex(), payload.hex(), "encoded again")


def run_model(vector: Json) -> None:
    """Class model."""
    model = ref.read_model(read(vector, "model"))
    equal(model.sha256.hex(), vector["expected"]["sha256"], "sha256")
    found = [
        [name, *bound] for name, program in model.programs.items() for bound in ref.bounds(program)
    ]
    equal(found, vector["expected"]["bounds"], "bounds")


def run_prior(vector: Json) -> None:
    """Class prior."""
    model, must = ref.read_model(read(vector, "model")), vector["expected"]
    z = ref.unflat(recipe(vector["z"]), *vector["z"]["shape"])
    mean, index = ref.mean_and_index(ref.run_prior(model, z))
    check_tensor(mean, must["mean"], "mean")
    check_tensor(index, must["index"], "index")
    equal([str(q) for q in vector["qualities"]], list(must["tables"]), "qualities")
    for quality in vector["qualities"]:
        tables = ref.table_indexes(model, quality, index)
        check_tensor(tables, must["tables"][str(quality)], f"tables of quality {quality}")


def run_stream(vector: Json) -> None:
    """Classes stream, real and invalid_stream."""
    picture = ref.decode(read(vector, "stream"), ref.read_model(read(vector, "model")))
    must = vector["expected"]
    for field in ("width", "height", "channels"):
        equal(getattr(picture, field), must[field], field)
    equal(hashlib.sha256(picture.samples).hexdigest(), must["sha256"], "sha256")


RUNNERS = {
    "arith": run_arith,
    "op": run_op,
    "signal_range": run_signal_range,
    "stress": run_stress,
    "tables": run_tables,
    "coder": run_coder,
    "model": run_model,
    "prior": run_prior,
    "stream": run_stream,
    "real": run_stream,
    "invalid_stream": run_stream,
}


@cache
def clauses() -> set[str]:
    """Every id of SPEC.md."""
    return set(re.findall(r'<a id="([^"]+)">', SPEC.read_text("utf-8")))


def refused(case: Callable[[], Any], clause: str = "") -> str:
    """The class of the refusal; empty where there is none. clause: which must be the one broken."""
    try:
        case()
    except ref.CodecError as error:
        equal(error.clause in clauses(), True, f"{error}: names a clause")
        equal(error.clause, clause or error.clause, f"clause of {error}")
        return type(error).__name__
    return ""


def run_vector(vector: Json) -> None:
    """One vector, valid or not."""
    runner = RUNNERS[vector["class"]]
    equal(vector["clause"] in clauses(), True, f"{vector['clause']} is a clause")
    if vector["result"] == "valid":
        runner(vector)
    else:
        error = refused(partial(runner, vector), vector["clause"])
        equal(error, vector["expected"]["error"], "error")


def large() -> set[str]:
    """Ids of vectors that take long."""
    read = [json.loads((VECTORS / f"{kind}.json").read_text("utf-8")) for kind in RUNNERS]
    return {v["id"] for found in read for v in found["vectors"] if v.get("cost") == "large"}


def vector_cases(kind: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The vectors of a class; ids as in the index."""
    vectors = json.loads((VECTORS / f"{kind}.json").read_text("utf-8"))["vectors"]
    index = json.loads((VECTORS / "index.json").read_text("utf-8"))["classes"][kind]
    equal(sorted(v["id"] for v in vectors), sorted(index), f"ids of {kind}")
    for vector in vectors:
        yield f"{vector['id']} [{vector['clause']}]", partial(run_vector, vector)


# ---- Encoder of the range coder: coder.encode, coder.word, coder.final --------------------------
class LaneEncoder:
    """One lane; `trace` has the states."""

    def __init__(self) -> None:
        self.low, self.range, self.words = 0, 2**62, []
        self.trace = ["start = low 0 range 4000000000000000"]

    def leave(self, top: int) -> None:
        """33 bits leave: a carry and a word."""
        if top >> 32:
            at = len(self.words) - 1
            while self.words[at] == 2**32 - 1:
                self.words[at] = 0
                at -= 1
            self.words[at] += 1
        self.words.append(top % 2**32)

    def interval(self, a: int, b: int) -> None:
        """Code an interval."""
        scale = self.range >> 16
        self.low, self.range = self.low + scale * a, scale * (b - a)
        self.trace.append(f"interval {a} {b} = low {self.low:x} range {self.range:x}")
        if self.range < 2**30:
            top = self.low >> 30
            self.leave(top)
            self.low, self.range = (self.low % 2**30) << 32, self.range << 32
            word = f"word = carry {top >> 32} {top % 2**32:08x}"
            self.trace.append(f"{word} low {self.low:x} range {self.range:x}")

    def symbol(self, symbol: int, table: ref.Table) -> None:
        """Code a symbol."""
        n, k = len(table.cdf) - 2, symbol - table.minimum
        entry = k if 0 <= k < n else n
        self.interval(table.cdf[entry], table.cdf[entry + 1])
        if entry == n:
            excess = -k - 1 if k < 0 else k - n
            for bit in f"{int(k < 0)}{exp_golomb(excess)}":
                self.interval(*((32768, 65536) if bit == "1" else (0, 32768)))

    def end(self) -> bytes:
        """The bytes of the lane."""
        final = ref.final_number(self.low, self.range)
        top = final >> 30
        self.trace.append(f"final = {final:x} carry {top >> 32} {top % 2**32:08x}")
        self.leave(top)
        return b"".join(word.to_bytes(4, "big") for word in self.words).rstrip(b"\0")


def exp_golomb(excess: int) -> str:
    """Bits of an excess."""
    digits = f"{excess + 1:b}"
    return "0" * (len(digits) - 1) + digits


def length(value: int) -> bytes:
    """A length in base 128."""
    out = bytearray()
    while value > 127:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def encode_payload(symbols: list[int], tables: Any, indexes: list[int], lanes: int) -> bytes:
    """A payload."""
    states = [LaneEncoder() for _ in range(lanes)]
    for i, symbol in enumerate(symbols):
        states[i % lanes].symbol(symbol, tables[indexes[i]])
    parts = [state.end() for state in states]
    return b"".join([*(length(len(part)) for part in parts[:-1]), *parts])


# ---- Examples of SPEC.md ------------------------------------------------------------------------
def spec_examples() -> Iterator[tuple[str, str, list[str]]]:
    """Clause, form and lines of each."""
    text = SPEC.read_text("utf-8")
    for match in re.finditer(
        r"^```example clause=(\S+) form=(\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    ):
        yield match[1], match[2], match[3].splitlines()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor_shift": lambda a, b: a >> b,
    "floor_div": lambda a, b: a // b,
    "ceil_div": ref.ceil_div,
    "clip": ref.clip,
    "round_shift": ref.round_shift,
    "requantise": ref.requantise,
    "divide": ref.divide,
    "conv_size": ref.conv_size,
    "conv_transpose_size": ref.conv_transpose_size,
    "exp_golomb": exp_golomb,
    "lanes_for": ref.lanes_for,
    "lanes_of": ref.lanes_of,
    "length": lambda n: length(n).hex(" "),
    "crc32": lambda text: f"{zlib.crc32(text.encode()):08x}",
    "table_index": ref.table_index,
    "dequantise": ref.dequantise,
    "luma": ref.luma,
    "tile": lambda n, tile, h, w: str(ref.tile_area(n, tile, h, w)),
    "step_of": ref.step_of,
    "serial_groups": lambda h, w, slope: str(ref.serial_groups(h, w, slope)),
}
NOT_HERE = {"decode.encoder", "limit.constants"}  # of encoders; of names in code


def example_values(lines: list[str]) -> None:
    """f(x) = y; ..."""
    for part in " ".join(line.rstrip(";") + ";" for line in lines).split(";"):
        if not part.strip():
            continue
        call, must = (side.strip() for side in part.split(" = "))
        name, arguments = call.rstrip(")").split("(")
        got = FUNCTIONS[name](*json.loads(f"[{arguments}]"))
        equal(str(got), must, call)
        if name == "length":
            equal(ref.read_length(bytes.fromhex(must), 0)[0], int(arguments), call)


def elements(text: str) -> list[int]:
    """Integers; 5*3 stands for 5 5 5."""
    values = []
    for part in text.split():
        value, _, times = part.partition("*")
        values += [int(value)] * int(times or 1)
    return values


def shaped(text: str) -> tuple[tuple[int, ...], list[int]]:
    """SHAPE: ELEMENTS."""
    shape, _, rest = text.partition(":")
    return tuple(int(side) for side in shape.split("x")), elements(rest)


def example_program(lines: list[str]) -> None:
    """A program in lines."""
    inputs, ops, tensors, values, must = [], [], {}, {}, []
    for line in lines:
        word, rest = line.split(" ", 1)
        left, _, right = rest.partition(" = ")
        if word == "input":
            inputs.append(json.loads(rest))
        elif word == "op":
            ops.append(json.loads(rest))
        elif word == "tensor":
            name, dtype = left.split()
            tensors[f"p/{name}"] = ref.Array(dtype, *shaped(right))
        elif word == "value":
            values[left] = shaped(right)
        else:
            must.append((word, left, right))
    made = [op["name"] for op in ops]
    document = {"name": "p", "inputs": inputs, "ops": ops, "outputs": made}
    if must[0][0] == "result":
        error = must[0][1].removeprefix("= ")
        equal(refused(partial(ref.read_program, document, tensors)), error, "result")
        return
    program = ref.read_program(document, tensors)
    ports = [values[port.name] for port in program.inputs]
    tensors_made = ref.run_program(program, [ref.unflat(v, *s) for s, v in ports])
    outputs = dict(zip(made, tensors_made, strict=True))
    proved = ref.bounds(program)
    known = {f"{op} {quantity}": f"{v} of channel {c}" for op, c, quantity, v in proved}
    for word, left, right in must:
        if word == "port":
            port = program.ports[left]
            equal(f"{port.dtype} {port.channels} [{port.lo}, {port.hi}]", right, f"port {left}")
        elif word == "bound":
            equal(known[left], right, f"bound {left}")
        else:
            t = outputs[left]
            equal(((len(t), len(t[0]), len(t[0][0])), ref.flat(t)), shaped(right), left)


def hexadecimal(lines: list[str]) -> bytes:
    """Bytes of lines `offset  bytes  comment`."""
    return b"".join(
        bytes.fromhex(match[1])
        for line in lines
        if (match := re.match(r" *\d+  ((?:[0-9a-f]{2} ?)+)(?: |$)", line))
    )


def example_tables(lines: list[str]) -> None:
    """Bytes of tables."""
    data = hexadecimal(lines)
    if lines[-1].startswith("result"):
        error = lines[-1].removeprefix("result = ")
        equal(refused(partial(ref.read_tables, data)), error, "result")
        return
    equal(dict(enumerate(ref.read_tables(data))), tables_of(lines), "tables")


def tables_of(lines: list[str]) -> dict[int, ref.Table]:
    """Lines `table K minimum M cdf C`."""
    found = {}
    for line in lines:
        if match := re.match(r"table (\d+) minimum (-?\d+) cdf (.*)", line):
            found[int(match[1])] = ref.Table(int(match[2]), elements(match[3]))
    return found


def example_payload(lines: list[str]) -> None:
    """Payloads of symbols, and refused ones."""
    tables, lanes, indexes = tables_of(lines), 1, []
    for line in lines:
        word, rest = (line + " ").split(" ", 1)
        left, _, right = (part.strip() for part in rest.partition("= "))
        if word == "indexes":
            indexes, lanes = elements(rest), 1
        elif word == "lanes":
            lanes = int(rest)
        elif word == "symbols":
            data = bytes.fromhex(right.replace("nothing", ""))
            equal(ref.decode_payload(data, tables, indexes, lanes), elements(left), line)
            equal(encode_payload(elements(left), tables, indexes, lanes), data, line)
        elif word == "payload":
            data = bytes.fromhex(left.replace("nothing", ""))
            if right.endswith("Error"):
                case = partial(ref.decode_payload, data, tables, indexes, lanes)
                equal(refused(case), right, line)
            else:
                equal(ref.decode_payload(data, tables, indexes, lanes), elements(right), line)


def example_encoding(lines: list[str]) -> None:
    """The trace of an encoder."""
    table, state = tables_of(lines)[0], LaneEncoder()
    symbols, _, data = lines[1].removeprefix("symbols ").partition(" = ")
    for symbol in elements(symbols):
        state.symbol(symbol, table)
    equal(state.end().hex(" "), data, "payload")
    equal(state.trace, lines[2:], "trace")


class Traced(ref.Lane):
    """A lane that notes its states."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.trace = [f"start = value {self.value:x} range {self.range:x}"]

    def entry(self, cdf: list[int]) -> int:
        """As of a lane, noted."""
        quantile = self.value // (self.range >> 16)
        self.head = f"quantile {quantile} = "
        self.cdf, self.trace_at = cdf, len(self.trace)
        k = super().entry(cdf)
        self.trace[self.trace_at] += f"{cdf[k]} {cdf[k + 1]} {self.state}"
        return k

    def refill(self) -> None:
        """As of a lane, noted."""
        self.trace.append(self.head)
        self.state = f"value {self.value:x} range {self.range:x}"
        moves, at = self.moves, 32 * self.moves + 62
        super().refill()
        if self.moves != moves:
            word = f"word = {self.bits(at, 32):08x}"
            self.trace.append(f"{word} value {self.value:x} range {self.range:x}")


def example_decoding(lines: list[str]) -> None:
    """The trace of a decoder."""
    symbols, _, data = lines[1].removeprefix("symbols ").partition(" = ")
    lane, table = Traced(bytes.fromhex(data)), tables_of(lines)[0]
    equal([lane.symbol(table) for _ in elements(symbols)], elements(symbols), "symbols")
    low = (lane.window() - lane.value) % 2**62
    final = ref.final_number(low, lane.range)
    lane.trace.append(f"end = window {lane.window():x} low {low:x} final {final:x}")
    lane.end()
    equal(lane.trace, lines[2:], "trace")


def example_model(lines: list[str]) -> None:
    """What is in a model file."""
    data = (VECTORS / lines[0].split()[1]).read_bytes()
    model, tables = ref.read_model(data), []
    header, body = ref.read_header(data)
    document = header.pop("__metadata__")["intnet"]
    raw = ref.read_tensors(header, body)
    for line in lines[1:]:
        left, _, right = line.partition(" = ")
        if left == "size":
            equal(len(data), int(right), line)
        elif left.startswith("entry "):
            equal(header[left.split()[1]], json.loads(right), line)
        elif left == "document":
            equal(document, right, line[:40])
        elif left.startswith("hashed "):
            _, name, dtype, shape = left.split()
            must = (dtype, shape, int(right.split()[0]))
            got = raw.pop(name)
            side = "x".join(map(str, got.shape))
            equal((ref.HASHED_AS[got.dtype], side, len(got.values)), must, line)
        elif left == "sha256":
            equal(model.sha256.hex(), right, line)
        elif left == "model_id":
            equal(model.id.hex(), right, line)
        elif left.startswith("table "):
            tables += tables_of([line]).values()
        else:
            at, _, rest = line.partition("  ")
            must = re.match(r"(?:[0-9a-f]{2} )+", rest)[0]
            equal(data[int(at) :].hex(" ")[: len(must) - 1], must.strip(), line)
    equal(raw, {}, "tensors that are not hashed")
    equal(tables, model.y_tables + model.z_tables, "tables")


def edited_model(data: bytes, old: str, new: str) -> bytes:
    """A model whose document is edited, with the right hash."""
    header, body = ref.read_header(data)
    metadata = header.pop("__metadata__")
    equal(metadata["intnet"].count(old) > 0, True, f"{old} occurs")
    document = metadata["intnet"].replace(old, new, 1)
    digest = ref.model_hash(document.encode(), ref.read_tensors(header, body))
    header["__metadata__"] = {"intnet": document, "sha256": digest.hex()}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def example_model_edits(lines: list[str]) -> None:
    """Edits of a document."""
    data = (VECTORS / lines[0].split()[1]).read_bytes()
    for line in lines[1:]:
        edit, must = line.rsplit(" = ", 1)
        old, new = (json.loads(part) for part in edit.split(" -> "))
        error = refused(partial(ref.read_model, edited_model(data, old, new)))
        equal(error or "accepted", must, line)


def example_stream(lines: list[str]) -> None:
    """Every byte, every stage."""
    model = ref.read_model((VECTORS / lines[0].split()[1]).read_bytes())
    data = (VECTORS / lines[1].split()[1]).read_bytes()
    equal(hexadecimal(lines), data, "bytes")
    picture, stream = ref.decode(data, model), ref.read_stream(data)
    pixels = picture.stages["pixels"]
    for line in lines[2:]:
        left, _, right = line.partition(" = ")
        name = left.split()[0]
        if left in picture.stages:
            t = picture.stages[left]
            equal(((len(t), len(t[0]), len(t[0][0])), ref.flat(t)), shaped(right), left)
        elif left in ("index_offset", "inverse_gain"):
            equal(list(model.scaling[left][stream.quality]), elements(right), left)
        elif left.endswith(" shape"):
            t = picture.stages[name]
            equal(f"{len(t)}x{len(t[0])}x{len(t[0][0])}", right, left)
        elif name == "pixel":
            _, y, x = left.split()
            equal(pixels[int(y)][int(x)], elements(right), left)
        elif left == "pixels crc32":
            equal(f"{zlib.crc32(picture.samples):08x}", right, left)
        elif left == "pixels sha256":
            equal(hashlib.sha256(picture.samples).hexdigest(), right, left)
        else:
            assert re.match(r" *\d+  [0-9a-f]{2}", line), line


def example_stream_edits(lines: list[str]) -> None:
    """Edits of a stream."""
    model = ref.read_model((VECTORS / lines[0].split()[1]).read_bytes())
    data = (VECTORS / lines[1].split()[1]).read_bytes()[:-4]
    for line in lines[2:]:
        edit, must = line.split(" = ")
        at, new = int(edit.split()[0]), bytes.fromhex(edit.split(" ", 1)[1])
        changed = data[:at] + new + data[at + len(new) :]
        changed += zlib.crc32(changed).to_bytes(4, "little")
        equal(refused(partial(ref.decode, changed, model)) or "accepted", must, line)


EXAMPLES = {
    "values": example_values,
    "program": example_program,
    "tables": example_tables,
    "payload": example_payload,
    "encoding": example_encoding,
    "decoding": example_decoding,
    "model": example_model,
    "model-edits": example_model_edits,
    "stream": example_stream,
    "stream-edits": example_stream_edits,
}


def example_cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """The examples of the text."""
    for i, (clause, form, lines) in enumerate(spec_examples()):
        if clause not in NOT_HERE:
            yield f"spec/{i}/{clause}/{form}", partial(EXAMPLES[form], lines)


# ---- Round trips: no expected bytes, but every list of symbols has exactly one payload -----------
def some_tables(random: Random) -> list[ref.Table]:
    """Tables of every kind of skew."""
    tables = []
    for n in (1, 2, 3, 40, 700):
        cdf = [0, *sorted(random.sample(range(1, 65536), n)), 65536]
        tables.append(ref.Table(random.randint(-32768, 32768 - n), cdf))
    return [*tables, ref.Table(0, [0, 1, 65536]), ref.Table(0, [0, 65535, 65536])]


def round_trip(seed: int) -> None:
    """Symbols there and back in 1 to 8 lanes; a byte more is refused."""
    random = Random(seed)
    tables, count, lanes = some_tables(random), random.randint(0, 300), random.randint(1, 8)
    indexes = [random.randrange(len(tables)) for _ in range(count)]
    escapes = random.random()
    symbols = []
    for index in indexes:
        near = tables[index].minimum + random.randrange(len(tables[index].cdf))
        far = random.randint(-32768, 32767)
        symbols.append(far if random.random() < escapes else max(-32768, min(32767, near)))
    payload = encode_payload(symbols, tables, indexes, lanes)
    equal(ref.decode_payload(payload, tables, indexes, lanes), symbols, f"{lanes} lanes")
    for more in (b"\0", b"\1", b"\0\0\0\0\0\0\0\1"):
        error = refused(partial(ref.decode_payload, payload + more, tables, indexes, lanes))
        equal(error, "PayloadError", f"{lanes} lanes and {more.hex()}")


def round_trip_of_lanes(count: int, minor: int, lanes: int) -> None:
    """Payloads of streams: lanes by minor version and number of symbols."""
    tables = [ref.Table(0, [0, 60000, 65000, 65536])]
    symbols = [int(i % 11 == 0) for i in range(count)]
    payload = encode_payload(symbols, tables, [0] * count, lanes)
    got = ref.decode_symbols("y", payload, tables, [0] * count, minor)
    equal(got == symbols, True, f"{count} symbols of version 1.{minor}")


def round_trip_cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """Random messages, and the lanes of streams."""
    for seed in range(100):
        yield f"round_trip/{seed}", partial(round_trip, seed)
    for count, minor, lanes in ((65535, 1, 1), (65536, 1, 2), (65536, 0, 1)):
        case = partial(round_trip_of_lanes, count, minor, lanes)
        yield f"round_trip/{count} symbols/1.{minor}", case


# ---- Quotations ---------------------------------------------------------------------------------
def quotations() -> list[tuple[str, str]]:
    """(clause, sentence) of every quotation of the decoder."""
    found: list[tuple[str, str]] = []
    clause, inside = "", False
    for raw in Path(ref.__file__).read_text("utf-8").splitlines():
        line = raw.strip()
        if line.startswith("# > "):
            text = line.removeprefix("# > ")
            if inside:
                text = f"{found.pop()[1]} {text}"
            found.append((clause, text))
            inside = True
            continue
        inside = False
        if match := re.fullmatch(r"# \[([\w.-]+)\]", line):
            clause = match[1]
    return found


def check_quotation(clause: str, sentence: str) -> None:
    """The clause exists, and the sentence stands after it word for word."""
    text = " ".join(SPEC.read_text("utf-8").split())
    anchor = text.find(f'<a id="{clause}">')
    equal(anchor >= 0, True, f"{clause} is a clause")
    sentence = " ".join(sentence.split())
    equal(sentence in text, True, f"[{clause}] is word for word: {sentence[:60]}")
    equal(sentence in text[anchor : anchor + 6000], True, f"[{clause}] has: {sentence[:60]}")


def quotation_cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """Every quotation."""
    for i, (clause, sentence) in enumerate(quotations()):
        yield f"quotation/{i}/{clause}", partial(check_quotation, clause, sentence)


CLASSES: dict[str, Callable[[], Iterator[tuple[str, Callable[[], None]]]]] = {
    **{kind: partial(vector_cases, kind) for kind in RUNNERS},
    "spec_example": example_cases,
    "round_trip": round_trip_cases,
    "quotation": quotation_cases,
}


def run_class(kind: str, only: str, skip: str, left_out: set[str]) -> tuple[int, list[str]]:
    """How many cases, and the faults."""
    count, faults = 0, []
    for name, case in CLASSES[kind]():
        plain = name.partition(" [")[0]  # without the clause
        if plain in left_out or fnmatch(plain, skip) or not fnmatch(plain, only):
            continue
        count += 1
        try:
            case()
        except Exception as error:  # noqa: BLE001  # any failure is a failure of the case
            faults.append(f"{name}: {type(error).__name__}: {error}")
    return count, faults


def main() -> int:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="*", help="ids to run, for instance 'op/conv*'")
    parser.add_argument("--skip", default="", help="ids to leave out, for instance 'stream/two*'")
    parser.add_argument("--class", dest="kinds", action="append", choices=list(CLASSES))
    parser.add_argument("--small", action="store_true", help="leave out vectors of cost large")
    chosen = parser.parse_args()
    left_out = large() if chosen.small else set()
    total = failed = 0
    for kind in chosen.kinds or CLASSES:
        began = time.perf_counter()
        count, faults = run_class(kind, chosen.only, chosen.skip, left_out)
        seconds = time.perf_counter() - began
        print(f"{kind}: {count - len(faults)} passed, {len(faults)} failed, {seconds:.1f} s")
        for fault in faults:
            print(f"  {fault}", file=sys.stderr)
        total, failed = total + count, failed + len(faults)
        failed += count == 0 and chosen.only == "*"
    if not total:
        print("no cases", file=sys.stderr)
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
