"""What the files of the vectors promise beyond being passed: their schema, and what they reach."""

import copy
import json

import jsonschema
import numpy as np
import pytest
from conftest import ROOT, tool

from intnet import codec, model_file
from intnet.conform import arith
from intnet.conform.classes import CLASSES

VECTORS = ROOT / "conformance" / "vectors" / "v1"
SCHEMA = json.loads((VECTORS.parent / "schema.json").read_text("utf-8"))
NAMES = [*CLASSES, "index"]


def read(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def vectors(name):
    return read(name)["vectors"]


def faults(document, name=None):
    """Of a document by the schema; with a name by the part for that file, which is quick."""
    part = f"{name}_file" if name in CLASSES else name
    schema = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]} if name else SCHEMA
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message:.200}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
    ]


def test_the_schema_is_one():
    """Of draft 2020-12, with a form for each file."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    forms = {form["$ref"].removeprefix("#/$defs/") for form in SCHEMA["oneOf"]}
    assert forms == {"index", *(f"{kind}_file" for kind in CLASSES)}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_fits_the_schema(name):
    """By the whole of it, and by its own part."""
    assert faults(read(name), name) == []
    assert faults(read(name)) == []


def drop(*path):
    """Without a field."""

    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def put(value, *path):
    """Another value, or a field more."""

    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


DAMAGE = {
    **{f"{field} missing": ("op", drop("vectors", 0, field)) for field in
       ("id", "class", "clause", "comment", "program", "tensors", "inputs", "result", "expected")},
    "no provenance": ("model", drop("provenance")),
    "no recipe": ("prior", drop("recipe")),
    "another recipe": ("coder", put(["payload"], "recipe")),
    "a field more": ("stream", put(1, "vectors", 0, "more")),
    "another class": ("stream", put("real", "vectors", 0, "class")),
    "another cost": ("real", put("small", "vectors", 0, "cost")),
    "no comment": ("tables", put("", "vectors", 0, "comment")),
    "a float": ("arith", put(0.5, "vectors", 0, "rows", 0, 0)),
    "no rows": ("arith", put([], "vectors", 0, "rows")),
    "two recipes": ("prior", put([0, 1], "vectors", 0, "z", "ramp")),
    "no reach": ("signal_range", drop("vectors", 0, "reached")),
    "nine lanes": ("coder", put(9, "vectors", 0, "lanes")),
    "odd hexadecimal": ("tables", put("0", "vectors", 0, "tables")),
    "short hash": ("model", put("00", "vectors", 0, "expected", "sha256")),
    "an error unknown": ("invalid_stream", put("Error", "vectors", 0, "expected", "error")),
    "valid with an error": ("tables", put("valid", "vectors", -1, "result")),
    "invalid that decodes": ("stream", put("invalid", "vectors", 0, "result")),
    "five channels": ("stream", put(5, "vectors", 0, "expected", "channels")),
    "neither form": ("stress", drop("vectors", -1, "tables")),
    "no picture": ("real", drop("vectors", 0, "source", "picture")),
    "no vectors": ("op", put([], "vectors")),
    "a class less": ("index", drop("classes", "arith")),
    "format 2": ("index", put(2, "format")),
    "a file twice": ("index", lambda d: d["files"].append(d["files"][0])),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_does_not_fit(damage):
    """One thing wrong is refused."""
    name, change = DAMAGE[damage]
    document = read(name)
    if name in CLASSES:  # the first and the last of each file, to be quick
        document["vectors"] = [document["vectors"][0], document["vectors"][-1]]
    assert faults(document, name) == []
    damaged = copy.deepcopy(document)
    change(damaged)
    assert faults(damaged, name) != []


def test_what_goes_in_is_named():
    """Every field of a vector is one of all vectors, or its recipe's, or stated beside it."""
    known = {"id", "class", "clause", "comment", "cost", "result", "expected", "reached"}
    for name in CLASSES:
        document = read(name)
        for vector in document["vectors"]:
            inputs = set(vector) - known
            assert inputs and inputs <= set(document["recipe"]), vector["id"]


def test_every_function_of_the_specification_has_rows():
    """But for the encoder's; with negative numbers and ends of types in each that takes them."""
    found = {vector["function"] for vector in vectors("arith")}
    assert found == set(arith.ALIKE | arith.OF_BACKENDS) - {"quantise"}
    assert sum(len(vector["rows"]) for vector in vectors("arith")) > 1000
    for vector in vectors("arith"):
        if vector["clause"].startswith("arith.") and vector["function"] != "ceil_div":
            first = [row[0] for row in vector["rows"]]
            assert min(first) < 0 < max(first)


@pytest.mark.parametrize("vector", vectors("signal_range"), ids=lambda v: v["id"])
def test_nine_tenths_of_each_bound_are_reached(vector):
    """By every op on one side; on both sides by the vector, where a quantity has both."""
    bounds = {(op, quantity): bound for op, _, quantity, bound in vector["expected"]["bounds"]}
    reached = {(r["op"], r["quantity"]): r for r in vector["reached"]}
    assert set(reached) == set(bounds)
    sides = {}
    for key, r in reached.items():
        assert r["bound"] == bounds[key]
        assert -r["bound"] <= r["least"] <= r["greatest"] <= r["bound"]
        above, below = 10 * r["greatest"] >= 9 * r["bound"], -10 * r["least"] >= 9 * r["bound"]
        assert above or below, key
        sides.setdefault(key[1], set()).update({1} if above else set(), {-1} if below else set())
    ports = vector["program"]["inputs"]
    of_products = len(ports) == 2 and all(port["lo"] >= 0 for port in ports)
    assert all(found == ({1} if of_products else {1, -1}) for found in sides.values())


def test_the_limit_itself_is_nearly_reached():
    """Accumulators of 98 % of 2**31 and products of 61 bits; every kind, and 8 and 16 bits."""
    every = [(v, r) for v in vectors("signal_range") for r in v["reached"]]
    assert max(r["greatest"] for _, r in every if r["quantity"] == "accumulator") == 2**31 - 2
    linear = [r["greatest"] for v, r in every if "/conv" in v["id"]]
    assert max(x for x in linear if x < 2**31) > 2**31 * 97 // 100
    assert max(r["greatest"] for _, r in every) > 2**61
    ops = [op for v in vectors("signal_range") for op in v["program"]["ops"]]
    assert {op["kind"] for op in ops} == {
        "conv", "conv_transpose", "add", "mul", "div", "requantise"
    }  # fmt: skip
    assert {op["dtype"] for op in ops} >= {"u8", "s8", "s16", "s32"}
    assert {v["program"]["inputs"][0]["dtype"] for v, _ in every} == {"u8", "s8", "s16", "s32"}
    assert any(op.get("groups", 1) > 1 for op in ops)


def test_stress_is_long_wide_and_in_all_lanes():
    """As its comments say."""
    found = {vector["id"]: vector for vector in vectors("stress")}
    assert len(found["stress/chain"]["program"]["ops"]) > 100
    assert {v["lanes"] for v in found.values() if "lanes" in v} == set(range(1, 9))
    escapes = found["stress/coder-escapes"]["expected"]["payload"]["bytes"]
    assert escapes > 3 * found["stress/coder-escapes"]["symbols"]["shape"][0]


def test_every_quality_has_a_stream():
    """And each its own picture."""
    found = [v for v in vectors("stream") if "every-quality" in v["id"]]
    headers = [(VECTORS / v["stream"]).read_bytes() for v in found]
    assert [data[17] for data in headers] == list(range(64))
    assert len({v["expected"]["sha256"] for v in found}) == 64


def test_photographs_are_small_and_large():
    """Three qualities and a grey one for slow decoders, two pictures that say what they cost."""
    found = vectors("real")
    small = [v["source"] for v in found if "cost" not in v]
    assert len(small) >= 4 and any(source["grey"] for source in small)
    qualities = sorted(source["quality"] for source in small)
    assert qualities[0] < 10 and qualities[-1] > 55
    large = [v["source"] for v in found if "cost" in v]
    assert len(large) == 2 and all(s["width"] * s["height"] > 40_000 for s in large)
    model = model_file.load(VECTORS / "model" / "photo.inm")
    for vector in found:
        pixels = codec.decode((VECTORS / vector["stream"]).read_bytes(), [model]).pixels
        assert len(np.unique(pixels)) > 40


def test_a_photograph_that_is_missing_needs_the_pictures(tmp_path, capsys):
    """The tool names what is missing and writes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        make_vectors = tool("make_vectors")
    assert make_vectors.main(["--folder", str(tmp_path / "new")]) == 1
    assert "real/motorbike-low.inic" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
