"""The frame of a model file: header and document, read strictly and by this reader alone.

A `.inm` is a safetensors file. Its header is JSON that names the tensors and holds the document,
JSON in a string. Whatever JSON readers disagree about is refused, so that every program that takes
a file sees the same things in it. No tensor is read here, and neither NumPy nor numba is needed.
A packed file holds one tensor, the payload of `packed`, and names in its metadata those within it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import prod
from reprlib import repr as brief  # short for any value, however deep or long
from typing import Any, NamedTuple

from intnet.errors import ModelError

MAX_FILE = 2**28  # bytes of a file, and of the tensors of a packed one
MAX_HEADER = 2**24
MAX_NESTING = 100  # lists and objects inside one another, the document included
MAX_AXES = 4
SIZES = {"U8": 1, "I8": 1, "I16": 2, "I32": 4}  # bytes of an element
START = 8  # bytes of the header's length
HEX = re.compile(r"[0-9a-f]{64}")
PACKED = "packed"  # key of the metadata, and the name of the payload
PACKED_VERSION = 1
MAX_TENSORS = 2**15  # in a payload
EXPANSION, FREE_BYTES = 256, 2**20  # bytes of tensors for each byte of a payload, and for none


class Entry(NamedTuple):
    """A tensor: its bytes are [begin, end) of the data; if packed, of all tensors by name."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Frame(NamedTuple):
    """A header: the document, the stated identity, the tensors, and where the data begins.

    size: bytes of the data. packed: whether it is a payload that the tensors are packed in.
    """

    document: str
    sha256: str
    entries: dict[str, Entry]
    start: int
    size: int
    packed: bool


def read(data: bytes) -> Frame:
    """The frame of a file's bytes, of which those up to the end of the header suffice.

    Raises ModelError naming what was found and what is allowed.
    """
    start = START + header_size(data)
    refuse_unless(len(data) >= start, f"header of {start - START} bytes, {len(data)} in the file")
    header = parse_header(data[START:start])
    metadata = header.pop("__metadata__", None)
    packed = type(metadata) is dict and PACKED in metadata
    exact_fields(metadata, {"intnet", "sha256", *[PACKED] * packed}, "__metadata__")
    document, stated = metadata["intnet"], metadata["sha256"]
    refuse_unless(type(document) is str, f"intnet is {brief(document)}, must be a string")
    refuse_unless(
        type(stated) is str and HEX.fullmatch(stated),
        f"sha256 is {brief(stated)}, must be 64 hexadecimal digits in lower case",
    )
    for text in (document, *header):
        refuse_surrogates(text, "header")
    entries = {name: entry_of(fields, f"tensor {name!r:.80}") for name, fields in header.items()}
    check_cover(entries)
    size = data_size(entries)
    if packed:
        check_payload(entries)
        entries = packed_entries(metadata[PACKED], size)
    return Frame(document, stated, entries, start, size, packed)


def header_size(data: bytes) -> int:
    """Bytes of the header, from the first 8 of a file."""
    refuse_unless(len(data) >= START, f"{len(data)} bytes, at least {START} must be there")
    size = int.from_bytes(data[:START], "little")
    allowed = f"must be 2..{MAX_HEADER}; not a safetensors file"
    refuse_unless(2 <= size <= MAX_HEADER, f"header of {size} bytes, {allowed}")
    return size


def parse_header(raw: bytes) -> dict[str, Any]:
    """The JSON object from `{` to `}`; after it nothing but spaces."""
    try:
        text = raw.decode().rstrip(" ")
    except UnicodeDecodeError as error:
        raise ModelError(f"model: header is not UTF-8 at byte {START + error.start}") from None
    refuse_unless(text[:1] == "{", f"header begins with {text[:1]!r}, must begin with '{{'")
    refuse_unless(
        text[-1:] == "}", f"header ends with {text[-1:]!r}, must end with '}}' or spaces after it"
    )
    header: dict[str, Any] = parse(text, "header", parse_int=digits, parse_float=digits)
    return header


def parse(text: str, what: str, **numbers: Any) -> Any:
    """JSON as the standard has it: no key twice in an object, no NaN, no infinities."""

    def refused(word: str) -> None:
        raise ModelError(f"model: {what}: {word}, must be a finite number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refused, **numbers)
    except RecursionError:
        raise ModelError(f"model: {what} is nested deeper than {MAX_NESTING} levels") from None
    except ValueError as error:
        raise ModelError(f"model: {what} is not JSON ({error})") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys occur once each."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        refuse_unless(key not in found, f"key {key!r:.80} occurs twice in one object")
        found[key] = value
    return found


def digits(text: str) -> int:
    """A number of the header: decimal digits, no sign, no point, no exponent."""
    refuse_unless(
        text.isdigit() and len(text) < 20, f"header: number {text:.40}, must be 1 to 19 digits"
    )
    return int(text)


def exact_fields(value: Any, names: set[str], where: str) -> None:
    """An object of these fields and no others."""
    if type(value) is not dict:
        raise ModelError(f"model: {where} is {brief(value)}, must be an object")
    got, wanted = sorted(value), sorted(names)
    if got != wanted:
        raise ModelError(f"model: {where}: fields {brief(got)}, must be {wanted}")


def entry_of(fields: Any, where: str) -> Entry:
    """One tensor of the header."""
    exact_fields(fields, {"dtype", "shape", "data_offsets"}, where)
    dtype, shape, size = typed_shape(fields, where)
    offsets = fields["data_offsets"]
    check_integers(offsets, f"{where}, data_offsets")
    if len(offsets) != 2:
        raise ModelError(f"model: {where}, data_offsets: {brief(offsets)}, must be two")
    begin, end = offsets
    refuse_unless(
        end - begin == size, f"{where}: {end - begin} bytes, {dtype} {shape} needs {size} bytes"
    )
    return Entry(dtype, tuple(shape), begin, end)


def typed_shape(fields: Any, where: str) -> tuple[str, list[int], int]:
    """dtype, shape and bytes of a tensor."""
    dtype, shape = fields["dtype"], fields["shape"]
    if type(dtype) is not str or dtype not in SIZES:
        raise ModelError(f"model: {where}: dtype {brief(dtype)}, must be one of {list(SIZES)}")
    check_integers(shape, f"{where}, shape")
    refuse_unless(1 <= len(shape) <= MAX_AXES, f"{where}: {len(shape)} axes, must be 1..{MAX_AXES}")
    refuse_unless(min(shape) >= 1, f"{where}, shape: {shape}, sizes must be at least 1")
    return dtype, shape, prod(shape) * SIZES[dtype]


def check_payload(entries: Mapping[str, Entry]) -> None:
    """A packed file has one tensor of its own, bytes."""
    names = sorted(entries)
    if names != [PACKED]:
        raise ModelError(f"model: tensors {brief(names)} in a packed file, must be {[PACKED]}")
    kind = entries[PACKED].dtype, len(entries[PACKED].shape)
    refuse_unless(kind == ("U8", 1), f"tensor {PACKED!r}: dtype, axes {kind}, must be ('U8', 1)")


def packed_entries(text: Any, size: int) -> dict[str, Entry]:
    """The tensors in a payload of so many bytes, names ascending, as if they lay in this order.

    Raises ModelError, also for more bytes than such a payload may stand for.
    """
    refuse_unless(type(text) is str, f"{PACKED} is {brief(text)}, must be a string")
    found = parse(text, PACKED, parse_int=digits, parse_float=digits)
    exact_fields(found, {"tensors", "version"}, PACKED)
    version, tensors = found["version"], found["tensors"]
    if type(version) is not int or version != PACKED_VERSION:
        raise ModelError(
            f"model: {PACKED}: version {brief(version)}, this reader knows {PACKED_VERSION}"
        )
    refuse_unless(type(tensors) is dict, f"{PACKED}: tensors is no object")
    refuse_unless(len(tensors) <= MAX_TENSORS, f"{len(tensors)} tensors, at most {MAX_TENSORS}")
    entries, at = {}, 0
    for name in sorted(tensors):
        where = f"packed tensor {name!r:.80}"
        refuse_surrogates(name, PACKED)
        exact_fields(tensors[name], {"dtype", "shape"}, where)
        dtype, shape, bytes_ = typed_shape(tensors[name], where)
        entries[name] = Entry(dtype, tuple(shape), at, at + bytes_)
        at += bytes_
    most = min(MAX_FILE, EXPANSION * size + FREE_BYTES)
    refuse_unless(at <= most, f"{at} bytes of tensors in a payload of {size}, at most {most}")
    return entries


def check_integers(values: Any, where: str) -> None:
    """A list of integers, true and false not among them."""
    if type(values) is not list or not all(type(v) is int for v in values):
        raise ModelError(f"model: {where}: {brief(values)}, must be a list of integers")


def check_cover(entries: Mapping[str, Entry]) -> None:
    """Tensors follow one another from 0 on, without gap or overlap."""
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
        refuse_unless(
            entry.begin == at, f"tensor {name!r:.80} begins at {entry.begin}, must begin at {at}"
        )
        at = entry.end


def data_size(entries: Mapping[str, Entry]) -> int:
    """Bytes of all tensors."""
    return max((entry.end for entry in entries.values()), default=0)


def parse_document(text: str) -> Any:
    """The document's JSON. Raises ModelError unless it is in canonical form."""
    document = parse(text, "document")
    refuse_unless(canonical(document) == text, "document is not in canonical form")
    return document


def canonical(document: Any) -> str:
    """The one spelling of a document: sorted keys, no white space, characters as themselves.

    Raises ModelError for what JSON in UTF-8 cannot say and for more than MAX_NESTING levels.
    """
    check_nesting(document)
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
                          allow_nan=False)  # fmt: skip
    except (ValueError, TypeError) as error:
        raise ModelError(f"model: document cannot be JSON in canonical form ({error})") from None
    refuse_surrogates(text, "document")
    return text


def check_nesting(value: Any, levels: int = MAX_NESTING) -> None:
    """At most so many lists and objects inside one another."""
    if isinstance(value, dict | list | tuple):
        refuse_unless(levels > 0, f"document is nested deeper than {MAX_NESTING} levels")
        for child in value.values() if isinstance(value, dict) else value:
            check_nesting(child, levels - 1)


def refuse_surrogates(text: str, what: str) -> None:
    """Half of a surrogate pair is no character, and UTF-8 has no bytes for it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ModelError(
            f"model: {what}: unpaired surrogate {text[error.start]!r} at character {error.start} "
            f"of {text[: error.start][-20:]!r}..., must be a character"
        ) from None


def refuse_unless(condition: object, message: str) -> None:
    """Raise ModelError unless condition. Not with `brief`, which costs more than any check."""
    if not condition:
        raise ModelError(f"model: {message}")
