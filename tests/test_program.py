"""Programs as JSON: a round trip, and nothing malformed comes through."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
import sample_programs as make
from hypothesis import given, settings
from hypothesis import strategies as st

from intnet.errors import ModelError
from intnet.ports import infer
from intnet.program import KINDS, Concat, Pad, Port, Program
from intnet.program_json import from_json, to_json

PROGRAM, INPUTS = make.everything(np.random.default_rng(3))
DOCUMENT, TENSORS = to_json(PROGRAM)


def test_programs_survive_a_trip_through_json() -> None:
    """Text, values and tensors come back the same, and mean the same."""
    text = json.dumps(DOCUMENT)
    program = from_json(json.loads(text), TENSORS)
    document, tensors = to_json(program)
    assert json.dumps(document) == text
    assert tensors.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[key], tensor, strict=True)
    assert infer(program) == infer(PROGRAM)
    assert {op.kind for op in program.ops} == set(KINDS), "the sample lacks a kind"


def test_ports_follow_every_operation() -> None:
    """Channels and intervals of the operations that do not state their own."""
    ports = infer(PROGRAM)
    assert ports["d2s"] == Port("d2s", "s8", 2, -128, 127)
    assert ports["s2d"] == Port("s2d", "s8", 8, -128, 127)
    assert ports["part"].channels == 5
    assert ports["cat"].channels == 13
    assert ports["x"].magnitude == 255 and ports["crop"].magnitude == 128


def test_padding_and_joining_widen_intervals() -> None:
    """Zeros that `pad` adds, and every input of `concat`, are within the interval that follows."""
    low, high = Port("low", "s16", 1, -9, -3), Port("high", "s16", 1, 3, 9)
    ops = (
        Pad("low_zero", ("low",), (1, 0, 0, 0), "zero"),
        Pad("high_zero", ("high",), (1, 0, 0, 0), "zero"),
        Pad("edge", ("high",), (1, 0, 0, 0), "edge"), Concat("both", ("low", "high")),
    )  # fmt: skip
    ports = infer(Program("p", (low, high), ops, ("both",)))
    intervals = {name: (ports[name].lo, ports[name].hi) for name in ports}
    assert intervals == {
        "low": (-9, -3), "high": (3, 9), "low_zero": (-9, 0), "high_zero": (0, 9), "edge": (3, 9),
        "both": (-9, 9),
    }  # fmt: skip


def index(name: str) -> int:
    return [op["name"] for op in DOCUMENT["ops"]].index(name)


# What is wrong: a path into the document, the new value (None: remove it), a part of the message.
MALFORMED: dict[str, tuple[list[Any], Any, str]] = {
    "name-missing": (["name"], None, "field 'name' is missing"),
    "name-a-number": (["name"], 3, "field 'name' is 3, must be str"),
    "name-without-its-tensors": (["name"], "other", "tensor 'other/a/weight' is missing"),
    "document-field-unknown": (["colour"], 1, "unknown field 'colour'"),
    "inputs-missing": (["inputs"], None, "field 'inputs' is missing"),
    "inputs-none": (["inputs"], [], "needs at least one input and one output"),
    "inputs-renamed": (["inputs", 0, "name"], "z", "op 'a': input 'x' is not made before it"),
    "outputs-none": (["outputs"], [], "needs at least one input and one output"),
    "outputs-unknown": (["outputs", 0], "nothing", "output 'nothing' is not made"),
    "outputs-a-number": (["outputs", 0], 4, "names must be strings"),
    "port-not-an-object": (["inputs", 0], 5, "field 'name' is missing"),
    "port-dtype": (["inputs", 0, "dtype"], "u64", "dtype 'u64', must be one of"),
    "port-channels": (["inputs", 0, "channels"], 0, "channels is 0, must be in 1..8192"),
    "port-channels-true": (["inputs", 0, "channels"], True, "is True, must be int"),
    "port-channels-float": (["inputs", 0, "channels"], 4.0, "is 4.0, must be int"),
    "port-interval-turned": (["inputs", 0, "lo"], 256, r"interval \[256, 255\]"),
    "port-interval-wide": (["inputs", 0, "hi"], 256, r"\[0, 256\], must be ordered and within u8"),
    "port-name-twice": (["inputs", 1, "name"], "x", "'x' is made twice"),
    "port-field-unknown": (["inputs", 0, "mean"], 1, "input 'x': unknown field 'mean'"),
    "op-not-an-object": (["ops", 0], [], "field 'kind' is missing"),
    "op-kind": (["ops", 0, "kind"], "softmax", "unknown kind 'softmax', known: conv, "),
    "op-field-missing": (["ops", 0, "stride"], None, "op 'a': field 'stride' is missing"),
    "op-field-unknown": (["ops", 0, "dilation"], 1, "op 'a': unknown field 'dilation'"),
    "op-tensor-in-json": (["ops", 0, "bias"], [1], "op 'a': unknown field 'bias'"),
    "op-inputs-two": (["ops", 0, "inputs"], ["x", "x"], "2 inputs, conv takes 1"),
    "op-inputs-none": (["ops", index("cat"), "inputs"], [], "0 inputs, concat takes at least 1"),
    "op-input-later": (["ops", 0, "inputs"], ["c"], "input 'c' is not made before it"),
    "op-name": (["ops", index("cat"), "name"], "Cat", "name 'Cat': not"),
    "op-interval": (["ops", 0, "hi"], 32768, "must be ordered and within s16"),
    "conv-stride": (["ops", 0, "stride"], 9, "stride is 9, must be in 1..8"),
    "conv-stride-0": (["ops", 0, "stride"], 0, "stride is 0, must be in 1..8"),
    "conv-groups": (["ops", 0, "groups"], 2, "2 groups of 4 input channels"),
    "conv-groups-0": (["ops", 0, "groups"], 0, "groups is 0, must be in 1..4"),
    "conv-padding": (["ops", 0, "padding", 0], -1, "padding is -1, must be in 0..64"),
    "conv-padding-3": (["ops", 0, "padding"], [1, 1, 1], "padding must be four integers"),
    "conv-padding-true": (["ops", 0, "padding", 0], True, "padding must be four integers"),
    "lut-input": (["ops", index("lut"), "inputs"], ["div"], "input s16, must be u8 or s8"),
    "lut-entry": (["ops", index("lut"), "hi"], 5, "table entry is 1[0-9]+, must be in -128..5"),
    "add-channels": (["ops", index("sum"), "inputs"], ["up", "x"], "inputs of 8 and 4 channels"),
    "div-by-zero": (["inputs", 1, "lo"], 0, "divisor may be 0, must be at least 1"),
    "div-shift": (["ops", index("div"), "left_shift"], 31, "left_shift is 31, must be in 0..30"),
    "block-0": (["ops", index("d2s"), "block"], 0, "block is 0, must be in 1..16"),
    "block-3": (["ops", index("d2s"), "block"], 3, "8 channels, must be a multiple of 9"),
    "block-too-many": (["ops", index("s2d"), "block"], 17, "block is 17, must be in 1..16"),
    "slice-empty": (["ops", index("part"), "end"], 1, r"channels 1\.\.1, must be ordered"),
    "slice-beyond": (["ops", index("part"), "end"], 9, r"channels 1\.\.9, must be"),
    "concat-dtypes": (
        ["ops", index("cat"), "inputs"],
        ["part", "q"],
        r"unlike dtypes \['s8', 'u8'\]",
    ),
    "pad-mode": (["ops", index("pad"), "mode"], "mirror", "mode 'mirror', must be zero or edge"),
    "crop-negative": (["ops", index("crop"), "padding", 2], -1, "padding is -1"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_documents_are_refused(case: str) -> None:
    """Each fault alone gives a ModelError that says what, where, got and allowed."""
    path, value, message = MALFORMED[case]
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(ModelError, match=message):
        from_json(document, TENSORS)


A, Q = "everything/a/", "everything/q/"
BAD_TENSORS: dict[str, tuple[str, Any, str]] = {
    "missing": (A + "bias", None, "op 'a': tensor 'everything/a/bias' is missing"),
    "weight-float": (
        A + "weight",
        lambda x: x.astype(np.float32),
        "float32, must be int8 or int16",
    ),
    "weight-axes": (A + "weight", lambda x: x[0], "weight: 3 axes, must be 4"),
    "weight-empty": (A + "weight", lambda x: x[:0], "output channels is 0"),
    "weight-no-inputs": (A + "weight", lambda x: x[..., :0], "1 groups of 0 input channels"),
    "kernel-large": (A + "weight", lambda x: x.repeat(6, 1), "kernel is 18, must be in 1..15"),
    "kernel-empty": (A + "weight", lambda x: x[:, :, :0], "kernel is 0, must be in 1..15"),
    "bias-dtype": (A + "bias", lambda x: x.astype(np.int64), "bias: dtype int64, must be int32"),
    "bias-order": (A + "bias", lambda x: x.astype(x.dtype.newbyteorder()), "must be int32"),
    "bias-shape": (A + "bias", lambda x: x[:-1], r"bias: shape \(7,\), must be \(8,\)"),
    "multiplier-0": (
        A + "multiplier",
        lambda x: x * 0,
        "multiplier is 0, must be in 1..2147483647",
    ),
    "multiplier-shape": (Q + "multiplier", lambda x: x[None], r"shape \(1, 8\), must be \(8,\)"),
    "shift-0": (A + "shift", lambda x: x * 0, "shift is 0, must be in 1..62"),
    "shift-63": (Q + "shift", lambda x: x * 0 + 63, "shift is 63, must be in 1..62"),
    "table-short": ("everything/lut/table", lambda x: x[1:], r"shape \(255,\), must be \(256,\)"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_malformed_tensors_are_refused(case: str) -> None:
    """Dtype, byte order, shape and values of every parameter."""
    key, change, message = BAD_TENSORS[case]
    tensors = dict(TENSORS)
    tensor = tensors.pop(key)
    if change is not None:
        tensors[key] = change(tensor)
    with pytest.raises(ModelError, match=message):
        from_json(DOCUMENT, tensors)


@pytest.mark.parametrize("name", ["", "A", "a" * 65, "a/b", "1", "a b", "\ud800", "é", "a\n"])
def test_names_are_short_and_plain(name: str) -> None:
    """A lower-case letter, then at most 63 letters, digits, `_` and `.`."""
    tensors = {key.replace("everything/", f"{name}/"): x for key, x in TENSORS.items()}
    with pytest.raises(ModelError, match=r"program name '.*': not \[a-z\]"):
        from_json({**DOCUMENT, "name": name}, tensors)


def test_long_programs_are_refused_before_they_are_read() -> None:
    """More than 1024 operations are not even parsed."""
    with pytest.raises(ModelError, match="1025 operations, at most 1024"):
        from_json({**DOCUMENT, "ops": [None] * 1025}, {})


def test_deep_values_are_refused_not_a_crash() -> None:
    """A message stays short for a value nested deeper than Python's stack."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for key in ("name", "outputs"):
        with pytest.raises(ModelError) as caught:
            from_json({**DOCUMENT, key: [deep] if key == "outputs" else deep}, TENSORS)
        assert len(str(caught.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    | st.sampled_from(["x", "a", "conv", "add", "u8", "s32", 0, -1, 2**31, 2**63, 1, 2, 3]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["name", "kind", "block", "z"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400)
@given(data=st.data())
def test_mutated_documents_give_a_program_or_a_model_error(data: Any) -> None:
    """Values exchanged, removed or added anywhere: never another exception."""
    document: Any = copy.deepcopy(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and data.draw(st.integers(0, 9)):
                place = place[key]
                continue
            action = data.draw(st.sampled_from(["set", "set", "set", "remove", "add"]))
            if action == "remove":
                del place[key]
            elif action == "add" and isinstance(place, list):
                place.append(data.draw(JSON))
            else:
                place[key] = data.draw(JSON)
            break
    try:
        program = from_json(document, TENSORS)
    except ModelError as error:
        assert str(error)  # noqa: PT017  # either outcome is right
    else:
        assert from_json(to_json(program)[0], to_json(program)[1]).name == program.name


@settings(max_examples=100)
@given(document=JSON)
def test_any_json_value_gives_a_model_error(document: Any) -> None:
    """No value without inputs and operations is a program."""
    with pytest.raises(ModelError):
        from_json(document, TENSORS)
