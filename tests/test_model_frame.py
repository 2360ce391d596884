"""The header of a model file has one strict reader, whoever reads it."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_parts
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_parts import MINIMAL, canonical, document, framed, taken_apart, with_document

from intnet import codec, model_file, model_header
from intnet.errors import IntnetError, ModelError

HEADER, TENSORS = taken_apart(MINIMAL)
TEXT = json.dumps(HEADER, separators=(",", ":"))
BIAS = '"analysis/y/bias":{'
READERS: dict[str, Callable[[bytes], Any]] = {
    "whole": model_file.from_bytes,
    "header": model_header.parse,
}


def changed(old: str, new: str) -> str:
    """The header's text with one change."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def without(key: str) -> str:
    return json.dumps({k: v for k, v in HEADER.items() if k != key})


def entry_with(**fields: Any) -> str:
    """The header with other fields of one tensor."""
    return json.dumps(HEADER | {"analysis/y/bias": HEADER["analysis/y/bias"] | fields})


def metadata_with(**fields: Any) -> str:
    """The header with other fields of `__metadata__`."""
    return json.dumps(HEADER | {"__metadata__": HEADER["__metadata__"] | fields})


def test_parts_are_put_together_again() -> None:
    """The helpers themselves: what is not changed loads as the same model."""
    for text in (TEXT, TEXT + "  ", json.dumps(HEADER, indent=1), metadata_with(), entry_with()):
        assert (
            model_file.from_bytes(framed(text, TENSORS)).sha256
            == model_header.parse(framed(text, TENSORS)).sha256
        )
    assert model_file.from_bytes(with_document(canonical(document()))).name == "conformance minimal"


BAD_HEADERS: dict[str, tuple[str | bytes, str]] = {
    "tensor-twice": (
        changed(BIAS, '"tables/z":' + json.dumps(HEADER["tables/z"]) + "," + BIAS),
        "'tables/z' occurs twice",
    ),
    "metadata-twice": (
        changed(BIAS, '"__metadata__":' + json.dumps(HEADER["__metadata__"]) + "," + BIAS),
        "'__metadata__' occurs twice",
    ),
    "key-of-metadata-twice": (
        changed('"sha256":', '"sha256":"","sha256":'),
        "'sha256' occurs twice",
    ),
    "field-twice": (changed(BIAS, BIAS + '"dtype":"I32",'), "'dtype' occurs twice"),
    "unknown-field": (entry_with(more=0), "'more'"),
    "other-metadata": (metadata_with(format="pt"), "'format'"),
    "no-sha256": (TEXT.replace('"sha256"', '"sha257"'), "'sha25"),
    "no-metadata": (without("__metadata__"), "__metadata__"),
    "metadata-no-object": (json.dumps(HEADER | {"__metadata__": []}), "__metadata__"),
    "document-no-text": (metadata_with(intnet={}), "intnet"),
    "sha256-upper-case": (metadata_with(sha256=HEADER["__metadata__"]["sha256"].upper()), "sha256"),
    "sha256-short": (metadata_with(sha256=HEADER["__metadata__"]["sha256"][:-1]), "sha256"),
    "sha256-list": (metadata_with(sha256=[]), "sha256"),
    "space-before": (" " + TEXT, "'{'"),
    "newline-before": ("\n" + TEXT, "'{'"),
    "newline-after": (TEXT + "\n", "'}'"),
    "tab-after": (TEXT + " \t", "'}'"),
    "zero-after": (TEXT + "\0", "'}'"),
    "second-value": (TEXT + " {}", "JSON"),
    "list": ("[]", "'{'"),
    "utf-16": (TEXT.encode("utf-16-le") + b"}", "JSON"),
    "not-utf-8": (TEXT.encode().replace(b"tables/z", b"tables/\xff"), "UTF-8"),
    "surrogate": (changed('"tables/z"', '"tables/\\ud800"'), "surrogate"),
    "surrogate-in-document": (metadata_with(intnet="\ud800"), "surrogate"),
    "not-a-number": (entry_with(shape=[float("nan")]), "NaN"),
    "no-integer": (changed('"shape":[1,1,1,768]', '"shape":[1.0,1,1,768]'), "1.0"),
    "exponent": (changed('"shape":[1,1,1,768]', '"shape":[1e0,1,1,768]'), "1e0"),
    "minus-zero": (entry_with().replace("[0, 4]", "[-0, 4]"), "-0"),
    "true": (entry_with(shape=[True]), "True"),
    "dtype-unknown": (entry_with(dtype="F32"), "F32"),
    "dtype-number": (entry_with(dtype=4), "dtype"),
    "dtype-list": (entry_with(dtype=["I32"]), "dtype"),
    "shape-text": (entry_with(shape="1"), "shape"),
    "shape-empty-side": (entry_with(shape=[0, 2**62]), "shape"),
    "shape-too-large": (entry_with(shape=[2]), "8 bytes"),
    "shape-too-long": (entry_with(shape=[1] * 100), "axes"),
    "offsets-three": (entry_with(data_offsets=[0, 4, 4]), "data_offsets"),
    "offsets-text": (entry_with(data_offsets=["0", "4"]), "data_offsets"),
    "offsets-number": (entry_with(data_offsets=4), "data_offsets"),
    "overlap": (entry_with(data_offsets=[4, 8]), "begins at 4"),
    "beyond-the-end": (entry_with(data_offsets=[10**9, 10**9 + 4]), "begin"),
    "entry-list": (json.dumps(HEADER | {"analysis/y/bias": []}), "analysis/y/bias"),
    "deep": ('{"a":' * 100_000 + "}", "nested"),
    "deep-lists": ('{"a":' + "[" * 100_000 + "}", "nested"),
    "long-number": (entry_with(shape=[1]).replace("[1]", f"[{'9' * 5000}]", 1), "JSON|digits"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", BAD_HEADERS)
def test_one_fault_in_the_header(case: str, reader: str) -> None:
    """Each fault is a ModelError that names it, for both readers."""
    text, message = BAD_HEADERS[case]
    with pytest.raises(ModelError, match=message):
        READERS[reader](framed(text, TENSORS))


def test_tensors_end_with_the_file() -> None:
    """Neither a byte more nor one less."""
    for tensors in (TENSORS + b"\0", TENSORS[:-1]):
        with pytest.raises(ModelError, match=f"{len(tensors)} bytes of tensors, must be"):
            model_file.from_bytes(framed(TEXT, tensors))


def test_unlisted_tensor_is_named() -> None:
    """A tensor that no program reads is refused, rightly hashed or not."""
    extra = {"dtype": "U8", "shape": [1], "data_offsets": [len(TENSORS), len(TENSORS) + 1]}
    header, tensors = HEADER | {"extra": extra}, TENSORS + b"\0"
    text = HEADER["__metadata__"]["intnet"]
    digest = model_parts.hashed(text, header, tensors)
    header |= {"__metadata__": {"intnet": text, "sha256": digest}}
    with pytest.raises(ModelError, match="tensor 'extra'"):
        model_file.from_bytes(framed(json.dumps(header), tensors))


@pytest.mark.parametrize("reader", READERS)
def test_limits_of_the_file(monkeypatch: pytest.MonkeyPatch, reader: str, tmp_path: Path) -> None:
    """A header of more than 16 MiB is refused unread; so is a file of more than 2**28 bytes."""
    limit = 2**24
    longest = TEXT + " " * (limit - len(TEXT))
    READERS[reader](framed(longest, TENSORS))
    with pytest.raises(ModelError, match=rf"{limit + 1} bytes.*{limit}"):
        READERS[reader](framed(longest + " ", TENSORS))
    (tmp_path / "long.inm").write_bytes(framed(longest + " ", TENSORS))
    with pytest.raises(ModelError, match=rf"long\.inm: .*{limit + 1} bytes.*{limit}"):
        model_header.read(tmp_path / "long.inm")
    if reader == "whole":
        monkeypatch.setattr(model_file, "MAX_FILE", len(MINIMAL) - 1)
        with pytest.raises(ModelError, match=f"{len(MINIMAL)} bytes, at most {len(MINIMAL) - 1}"):
            model_file.from_bytes(MINIMAL)


def metadata_of(text: str) -> bytes:
    """A file, rightly hashed, with more metadata: its JSON text."""
    whole = canonical(document())
    return with_document(whole.replace('"metadata":{', f'"metadata":{{"a":{text},'))


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD_METADATA = {
    "nan": ("NaN", "NaN"),
    "infinity": ("Infinity", "Infinity"),
    "minus-infinity": ("[-Infinity]", "-Infinity"),
    "too-large": ("1e999", "canonical|1e999|Infinity"),
    "surrogate": ('"\\ud800"', "surrogate"),
    "surrogate-in-a-key": ('{"\\udfff":0}', "surrogate"),
    "twice": ('{"b":0,"b":0}', "'b' occurs twice"),
    "nested-101": (nested(99), "100 levels"),
    "nested-992": (nested(990), "100 levels"),
    "nested-2000": (nested(2000), "100 levels"),
    "nested-100000": (nested(100_000), "100 levels"),
    "objects-2000": ('{"a":' * 2000 + "0" + "}" * 2000, "100 levels"),
    "digits": ("9" * 5000, "JSON|digits"),
    "spelling": ("1e7", "canonical"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", BAD_METADATA)
def test_one_fault_in_the_metadata(case: str, reader: str) -> None:
    """Free metadata is JSON in canonical form, and nothing else."""
    text, message = BAD_METADATA[case]
    with pytest.raises(ModelError, match=message):
        READERS[reader](metadata_of(text))


@pytest.mark.parametrize("text", [
    nested(98), '"\U0001f600"', "9" * 4300, "-0.0", "1e+16", '{"":null}', '"[[[[{{{{\\"[["',
])  # fmt: skip
def test_unusual_metadata(text: str) -> None:
    """A hundred levels with the document and `metadata`, and every kind of value."""
    data = metadata_of(text)
    assert json.dumps(model_file.from_bytes(data).metadata["a"]) == json.dumps(
        model_header.parse(data).metadata["a"]
    )


@pytest.mark.parametrize("bad", [
    float("nan"), "\ud800", json.loads(nested(99)), {1: 0, "a": 0}, {"b": object()},
    {"b": 10**5000},
])  # fmt: skip
def test_bad_metadata_is_not_written(bad: Any) -> None:
    """What would not load is a ModelError when it is written."""
    good = model_file.from_bytes(MINIMAL)
    model = model_file.Model(good.programs, good.y_tables, good.z_tables, good.scaling, {"a": bad})
    with pytest.raises(ModelError):
        model_file.to_bytes(model)


def one_op(**op: Any) -> str:
    """A document of one program with one operation, most of it missing."""
    z = {"name": "z"}
    entry = {"inputs": ["z"], "name": "a", **op}
    program = {"inputs": [z], "name": "prior", "ops": [entry], "outputs": []}
    return canonical({"programs": [program]})


@pytest.mark.parametrize("text", [
    "[]", "0", '"a"', "null", "{}", "", "{", '{"programs":[{"name":[]}]}',
    one_op(kind="conv", stride=1e300), one_op(kind="depth_to_space", block=10**4000),
    one_op(kind="space_to_depth", block=0), one_op(kind=[]), one_op(kind="add", inputs=[[]]),
])  # fmt: skip
def test_documents_of_anything(text: str) -> None:
    """A document of another form is a ModelError, also where nothing is proved."""
    data = with_document(text)
    with pytest.raises(ModelError):
        model_file.from_bytes(data)
    with pytest.raises(ModelError):
        model_header.programs(model_header.parse(data))


ODD = st.sampled_from([
    0, 1, -1, 2, 3, 16, 64, 255, 256, 2**31, -(2**31), 2**63, 10**4299, 0.5, 1e300, True, None, "",
    "x", "y", "z", "s8", "s16", "s32", "u8", "conv", "add", "\ud800", [], {}, [0, 0, 0, 0], ["z"],
    ["y", "y"], [[]], "remove", "double",
])  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def mutate(data: Any, value: Any) -> None:
    """One value somewhere becomes another, goes, or comes twice."""
    container, key = data.draw(st.sampled_from(places(value)))
    new = copy.deepcopy(data.draw(ODD))
    if new == "remove":
        del container[key]
    elif new == "double" and isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[key] = new


def comes_out(data: bytes) -> None:
    """A model that encodes and decodes a picture, or an IntnetError: nothing else."""
    with contextlib.suppress(IntnetError):
        model_header.programs(model_header.parse(data))
    try:
        model = model_file.from_bytes(data)
        stream = codec.encode(np.full((70, 20, 3), 99, np.uint8), model, 20, "numpy")
        codec.decode(stream, [model], "numpy")
    except IntnetError:
        return


@settings(max_examples=150)
@given(data=st.data())
def test_changed_documents(data: Any) -> None:
    """Anything anywhere in a document under a right hash: a model or an IntnetError."""
    parsed = document()
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(data, parsed)
    comes_out(with_document(canonical(parsed)))


@settings(max_examples=150)
@given(data=st.data())
def test_changed_headers(data: Any) -> None:
    """Anything anywhere in a header: the same model, or an IntnetError."""
    header, tensors = taken_apart(MINIMAL)
    mutate(data, header)
    comes_out(framed(json.dumps(header), tensors))
