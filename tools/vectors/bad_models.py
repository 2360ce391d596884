"""Model files with one fault each, named after it. A clause is the one that is broken.

The hash is that of the damaged content, but where the hash is the fault.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from vectors.coder import COIN, THIRDS, serialised
from vectors.model_parts import Json, Parts, framed, spelled

I32_MAX = (2**31 - 1).to_bytes(4, "little")


class Bad(NamedTuple):
    """A file that is refused, and the class of the error."""

    clause: str
    comment: str
    data: bytes
    error: str = "ModelError"


def faults(good: bytes) -> dict[str, Bad]:
    """Name -> file; good is `minimal`."""
    groups = (of_file, of_header, of_document, of_interfaces, of_sizes, of_tensors)
    return {name: bad for group in groups for name, bad in group(good).items()}


def of_file(good: bytes) -> dict[str, Bad]:
    """Of the file as bytes."""
    size, header_size = "model.header", "model.file.header_size"
    return {
        "empty": Bad("model.file", "No bytes.", b""),
        "truncated-to-7": Bad("model.file", "Less than the header's size.", good[:7]),
        "truncated-by-1": Bad("model.header.data_offsets", "The last byte is missing.", good[:-1]),
        "trailing-byte": Bad(size, "A byte that belongs to no tensor.", good + b"\0"),
        "header-size-0": Bad(header_size, "No header.", bytes(8) + good[8:]),
        "header-size-beyond": Bad(
            header_size,
            "One byte more than follow.",
            struct.pack("<Q", len(good) - 7) + good[8:],
        ),
        "header-size-2-to-the-63": Bad(
            header_size, "Negative in 64 signed bits.", struct.pack("<Q", 2**63) + good[8:]
        ),
        "header-not-utf-8": Bad(
            "model.file.header", "A byte ff in a name.", good.replace(b"tables/z", b"tables/\xff")
        ),
    }


def of_header(good: bytes) -> dict[str, Bad]:
    """Of the header's JSON; the document and most tensors are right."""
    parts = Parts(good)
    text, body = spelled(parts.header()), parts.body()
    fields, bias = "model.header", '"analysis/y/bias":{'

    def edit(old: str, new: str) -> bytes:
        assert old in text, old
        return framed(text.replace(old, new, 1), body)

    def last(**changed: object) -> bytes:
        header = parts.header()
        header["tables/z"] |= changed
        return framed(spelled(header), body)

    def metadata(**changed: object) -> bytes:
        header = parts.header()
        header["__metadata__"] |= changed
        return framed(spelled(header), body)

    begin, end = parts.header()["tables/z"]["data_offsets"]
    digest = parts.header()["__metadata__"]["sha256"]
    twice = spelled({"tables/z": parts.header()["tables/z"]})[1:-1]
    surrogate = edit('"tables/z"', '"tables/\\ud800"')
    return {
        "hash-wrong": Bad(
            "model.hash",
            "One digit of the stated hash.",
            edit(digest, f"{int(digest[0], 16) ^ 1:x}{digest[1:]}"),
        ),
        "hash-upper-case": Bad(
            "model.hash", "The right digits in upper case.", edit(digest, digest.upper())
        ),
        "header-space-before": Bad(
            "model.file.header", "A space before `{`.", framed(" " + text, body)
        ),
        "header-line-feed-after": Bad(
            "model.file.header", "A line feed after `}`.", framed(text + "\n", body)
        ),
        "header-text-after": Bad(
            "model.header", "A second object after the first.", framed(text + " {}", body)
        ),
        "header-key-twice": Bad(fields, "A tensor twice.", edit(bias, f"{twice},{bias}")),
        "header-field": Bad(fields, "`more` is no field.", edit(bias, bias + '"more":0,')),
        "header-metadata": Bad(
            fields, "`format` is no metadata.", edit('{"intnet"', '{"format":"pt","intnet"')
        ),
        "header-surrogate": Bad(fields, "Half a pair in the name of a tensor.", surrogate),
        "document-number": Bad(
            "model.header.intnet", "0 for the document.", metadata(intnet=0)
        ),
        "hash-null": Bad("model.header.sha256", "null for the hash.", metadata(sha256=None)),
        "document-half-pair": Bad(
            fields, "Half a pair in the header's string.", metadata(intnet="\ud800")
        ),
        "header-number": Bad(fields, "1.0 for 1.", edit('"shape":[1]', '"shape":[1.0]')),
        "header-number-of-20-digits": Bad(
            fields, "At most 19 digits.", edit('"shape":[1]', f'"shape":[{"9" * 20}]')
        ),
        "header-nan": Bad(fields, "NaN.", edit('"shape":[1]', '"shape":[NaN]')),
        "dtype-unknown": Bad("model.header.dtype", "F32.", edit('"I32"', '"F32"')),
        "shape-empty": Bad("model.header.shape", "No axes.", last(shape=[])),
        "shape-of-5": Bad("model.header.shape", "Five axes.", last(shape=[1, 1, 1, 1, 30])),
        "shape-0": Bad(
            "model.header.shape",
            "A tensor without elements.",
            last(shape=[0, 30], data_offsets=[end, end]),
        ),
        "data-too-short": Bad(
            "model.header.data_offsets", "30 bytes for 29.", last(shape=[29])
        ),
        "data-gap": Bad(
            fields,
            "A byte between two tensors.",
            framed(
                spelled(moved(parts.header(), begin + 1)), body[:begin] + b"\0" + body[begin:]
            ),
        ),
        "data-overlap": Bad(
            fields, "Two tensors share a byte.", framed(spelled(moved(parts.header(), begin - 1)),
                                                        body[:-1])
        ),
    }  # fmt: skip


def moved(header: Json, begin: int) -> Json:
    """The last tensor somewhere else."""
    header["tables/z"]["data_offsets"] = [begin, begin + 30]
    return header


def of_document(good: bytes) -> dict[str, Bad]:
    """Of the document: its spelling, its fields, programs that are refused."""
    edit, spelling = partial(edited, good), "model.canonical"
    note, deep = '"licence"', f'"a":{"[" * 99}{"]" * 99},"licence"'
    fifth = (
        '{"inputs":[{"channels":1,"dtype":"u8","hi":1,"lo":0,"name":"x"}],"name":"fifth",'
        '"ops":[],"outputs":["x"]},'
    )
    scaling = "model.scaling"
    return {
        "document-space": Bad(spelling, "A space.", edit('"format":1,', '"format":1, ')),
        "document-key-twice": Bad(
            spelling, "`format` twice.", edit('"format":1,', '"format":1,"format":1,')
        ),
        "document-unsorted": Bad(spelling, "`b` before `a`.", edit(note, f'"b":0,"a":0,{note}')),
        "document-nan": Bad(spelling, "NaN in the metadata.", edit(note, f'"a":NaN,{note}')),
        "document-float": Bad(spelling, "0.10 for 0.1.", edit(note, f'"a":0.10,{note}')),
        "document-surrogate": Bad(
            spelling, "Half a pair in the metadata.", edit(note, f'"a":"\\ud800",{note}')
        ),
        "document-of-101-levels": Bad(spelling, "At most 100.", edit(note, deep)),
        "document-field": Bad(
            "model.document", "`extra`.", edit('"format":1,', '"extra":0,"format":1,')
        ),
        "metadata-list": Bad(
            "model.metadata",
            "A list for an object.",
            edit('{"licence":"Apache-2.0","name":"conformance minimal"}', "[]"),
        ),
        "format-2": Bad("model.format", "Format 2.", edit('"format":1', '"format":2')),
        "format-true": Bad("model.format", "`true` for 1.", edit('"format":1', '"format":true')),
        "programs-5": Bad("model.programs", "Five.", edit('"programs":[', f'"programs":[{fifth}')),
        "scaling-field": Bad(
            scaling, "`more`.", edit('"inverse_shift":16', '"inverse_shift":16,"more":0')
        ),
        "gain-shift-15": Bad(
            f"{scaling}.gain_shift", "16 to 40.", edit('"gain_shift":20', '"gain_shift":15')
        ),
        "inverse-shift-31": Bad(
            f"{scaling}.inverse_shift",
            "1 to 30.",
            edit('"inverse_shift":16', '"inverse_shift":31'),
        ),
        "index-shift-16": Bad(
            f"{scaling}.index_shift", "1 to 15.", edit('"index_shift":8', '"index_shift":16')
        ),
        "kind-unknown": Bad(
            "op.fields", "An op `slide`.", edit('"kind":"slice"', '"kind":"slide"')
        ),
    }  # fmt: skip


def edited(good: bytes, old: str, new: str) -> bytes:
    """The document changed in one place."""
    return Parts(good).edit(old, new).file()


def of_interfaces(good: bytes) -> dict[str, Bad]:
    """Of what programs take from one another. Tensors are named after their program."""
    edit, clause = partial(edited, good), "model.interfaces"
    named = Parts(good).edit('"name":"synthesis"', '"name":"sinthesis"')
    made, taken = '"hi":31,"inputs":["y"],"kind":"conv","lo":-31', '"hi":31,"lo":-31,"name":"z"'
    return {
        "program-name": Bad(
            clause, "`sinthesis`.", named.rename("synthesis/", "sinthesis/").file()
        ),
        "x-interval": Bad(clause, "x is 0 to 254.", edit('"hi":255,"lo":0', '"hi":254,"lo":0')),
        "x-hat-interval": Bad(
            clause, "x_hat is 0 to 254.", edit('"hi":255,"inputs"', '"hi":254,"inputs"')
        ),
        "z-interval": Bad(
            clause, "z is made up to 32, taken up to 31.", edit(made, made.replace("31", "32", 1))
        ),
        "z-dtype": Bad(
            clause, "z is made as s8, taken as s16.",
            edit('"dtype":"s8",' + taken, '"dtype":"s16",' + taken)
        ),
        "m-mismatch": Bad(
            clause,
            "One channel of mean, two of index.",
            edit('"outputs":["mean","index"]', '"outputs":["mean","both"]'),
        ),
        "outputs-of-prior": Bad(
            clause,
            "mean without index.",
            edit('"outputs":["mean","index"]', '"outputs":["mean"]'),
        ),
        "bound-exceeded": Bad(
            "proof.bounds",
            "A bias of 2**31 - 1.",
            Parts(good).write("analysis/y/bias", 0, I32_MAX).file(),
            "BoundError",
        ),
    }  # fmt: skip


def of_sizes(good: bytes) -> dict[str, Bad]:
    """Of size rules, also where an op leads to no output."""
    edit = partial(edited, good)

    def unread(fields: str) -> bytes:
        """An op `a` of hyper_analysis, where y is 8 x 12 and z 2 x 3, that nothing reads."""
        return edit('}],"outputs":["z"]', f'}},{{{fields}}}],"outputs":["z"]')

    cut = '"ops":[{"inputs":["y"],"kind":"crop","name":"cut","padding":[5,0,0,0]},{'
    hyper = '"name":"hyper_analysis","ops":[{'
    kernel = Parts(good).edit(hyper, hyper.replace('"ops":[{', cut))
    kernel.edit('"hi":31,"inputs":["y"]', '"hi":31,"inputs":["cut"]')
    transposed = '"padding":[0,0,0,0],"stride":8'
    conv = '"name":"y","padding":[0,0,0,0]'
    return {
        "analysis-size": Bad(
            "model.sizes", "9 x 12 latents.", edit(conv, conv.replace("[0", "[1", 1))
        ),
        "synthesis-size": Bad(
            "model.sizes", "A row less.", edit(transposed, transposed.replace("[0", "[1", 1))
        ),
        "transpose-empty": Bad(
            "op.conv_transpose",
            "All of 24 columns are cut off.",
            edit(transposed, transposed.replace("[0,0", "[0,24", 1)),
        ),
        "kernel-too-large": Bad("op.conv", "A kernel of 4 on 3 rows.", kernel.file()),
        "crop-empty": Bad(
            "op.crop",
            "8 of 8 rows, in a tensor that nothing reads.",
            unread('"inputs":["y"],"kind":"crop","name":"a","padding":[8,0,0,0]'),
        ),
        "space-to-depth-size": Bad(
            "op.space_to_depth",
            "12 columns in blocks of 8, in a tensor that nothing reads.",
            unread('"block":8,"inputs":["y"],"kind":"space_to_depth","name":"a"'),
        ),
        "sizes-unequal": Bad(
            "op.sizes",
            "y + z, in a tensor that nothing reads.",
            unread('"dtype":"s16","hi":1,"inputs":["y","z"],"kind":"add","lo":0,"name":"a"'),
        ),
    }


def of_tensors(good: bytes) -> dict[str, Bad]:
    """Of tensors and what they hold."""
    clause, zeros = "model.tensors", struct.Struct("<i").pack
    y_tables = serialised(*[COIN] * 257)

    def written(name: str, at: int, new: bytes) -> bytes:
        return Parts(good).write(name, at, new).file()

    def changed(change: Callable[[Parts], object]) -> bytes:
        parts = Parts(good)
        change(parts)
        return parts.file()

    many = Parts(good).tensor("tables/y", "U8", [len(y_tables)], y_tables)
    many.tensor("scaling/dead_zone", "I32", [257], bytes(257 * 4))
    gain = Parts(good).tensors["scaling/gain"][2]
    two = serialised(COIN, THIRDS)
    weight = bytearray(good)
    weight[good.index(b"\1" * 99)] = 2
    return {
        "weight-changed": Bad("model.hash", "One weight is 2; the hash is not.", bytes(weight)),
        "tensor-missing": Bad(
            clause, "No bias.", changed(lambda parts: parts.tensors.pop("analysis/y/bias"))
        ),
        "tensor-extra": Bad(
            clause,
            "One that nothing reads.",
            changed(lambda parts: parts.tensor("extra", "U8", [1], b"\0")),
        ),
        "gain-shape": Bad(
            clause,
            "1 x 64 for 64 x 1.",
            changed(lambda parts: parts.tensor("scaling/gain", "I32", [1, 64], gain)),
        ),
        "gain-0": Bad(
            "model.scaling.gain", "The first gain is 0.", written("scaling/gain", 0, zeros(0))
        ),
        "inverse-gain-below-0": Bad(
            "model.scaling.inverse_gain",
            "The last one is -1.",
            written("scaling/inverse_gain", 63 * 4, zeros(-1)),
        ),
        "dead-zone-32769": Bad(
            "model.scaling.dead_zone",
            "0 to 32768.",
            written("scaling/dead_zone", 0, zeros(32769)),
        ),
        "cdf-not-increasing": Bad(
            "table.entries", "cdf[1] of z is 0.", written("tables/z", 12, b"\0\0")
        ),
        "tables-version-2": Bad("table.bytes.version", "Of y.", written("tables/y", 0, b"\2")),
        "y-tables-257": Bad("model.tables.y", "At most 256.", many.file()),
        "z-tables-2": Bad(
            "model.tables.z",
            "Two for one channel.",
            changed(lambda parts: parts.tensor("tables/z", "U8", [len(two)], two)),
        ),
    }
