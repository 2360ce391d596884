"""Programs with one fault each, named after it. A clause is the one that the fault breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vectors.building import MULTIPLIER_MAX, Json, array, clip, finish, noise, same, vector

NONE = [0] * 4
S16, S32, U8 = (noise(dtype, 2, 2, 2) for dtype in ("s16", "s32", "u8"))
ONE = array("s32", 1, 1, 1, fill=0)


def bad(clause: str, name: str, comment: str, kind: str, *inputs: Json, **fields: Any) -> Json:
    """A program of one operation that is refused."""
    made = vector(f"invalid/{name}", comment, kind, *inputs, clause=clause, **fields)
    assert made["result"] == "invalid", name
    return made


def linear(clause: str, name: str, comment: str, **given: Any) -> Json:
    """A 1x1 convolution of two channels into two, but for what is given."""
    shape = given.pop("shape", (2, 1, 1, 2))
    fields: Json = {"stride": 1, "padding": NONE, "groups": 1, **clip("s16"),
                    "weight": array("s8", *shape, fill=1), "bias": array("s32", shape[0], fill=0),
                    **same(shape[0])}  # fmt: skip
    kind, x = given.pop("kind", "conv"), given.pop("x", S16)
    return bad(clause, name, comment, kind, x, **(fields | given))


def bounds() -> list[Json]:
    """Accumulators that reach 2**31. Products cannot reach 2**63 where accumulators do not."""
    heavy = {"weight": array("s16", 2, 1, 1, 2, fill=-32768)}
    tight = {"ports": [(-1, 0)], "x": array("s16", 1, 1, 1, fill=0), "shape": (1, 1, 1, 1)}
    top = array("s32", 1, fill=MULTIPLIER_MAX)
    half = [(-(2**30), 2**30 - 1)] * 2
    clause, s32 = "proof.bounds", clip("s32")
    exactly = "2 * 32768 * 32768 = 2**31 exactly."
    return [
        linear(clause, "bound-conv", exactly, **heavy),
        linear(clause, "bound-conv-transpose", exactly, kind="conv_transpose", **heavy),
        linear(clause, "bound-bias", "2**31 - 1 + 1 * 1.", bias=top, **tight),
        bad(clause, "bound-add", "2**31 + 2**31.", "add", S32, S32, **s32),
        bad(clause, "bound-add-by-1", "2**30 + 2**30.", "add", ONE, ONE, ports=half, **s32),
        bad(clause, "bound-mul", "2**31 * 2**31.", "mul", S32, S32, **same(2), **s32),
        bad(
            clause,
            "bound-mul-by-1",
            "32768 * 65536.",
            "mul",
            ONE,
            ONE,
            ports=[(-(2**15), 0), (0, 2**16)],
            **same(1),
            **s32,
        ),
    ]


def kernels() -> list[Json]:
    """Fields and tensors of conv and conv_transpose."""
    fields, conv = "op.fields", "op.conv"
    three = array("s16", 2, 1, 2, fill=1)
    return [
        linear(fields, "groups", "Two channels in three groups.", groups=3, shape=(3, 1, 1, 1)),
        linear(fields, "groups-0", "No group.", groups=0),
        linear(conv, "channels-of-weight", "Three channels for an input of two.",
               shape=(2, 1, 1, 3)),
        linear(conv, "conv-groups", "Three kernels in two groups.", groups=2, shape=(3, 1, 1, 1)),
        linear(conv, "transpose-groups", "Three kernels in two groups.", kind="conv_transpose",
               groups=2, shape=(3, 1, 1, 1)),
        linear(fields, "stride-0", "A stride is at least 1.", stride=0),
        linear(fields, "stride-9", "A stride is at most 8.", stride=9),
        linear(fields, "stride-true", "`true` is no integer.", stride=True),
        linear(fields, "padding-65", "Padding is at most 64.", padding=[0, 0, 0, 65]),
        linear(fields, "padding-below-0", "Padding is at least 0.", padding=[-1, 0, 0, 0]),
        linear(fields, "padding-of-3", "Padding has four sides.", padding=[0, 0, 0]),
        linear(fields, "kernel-16", "A kernel is at most 15 wide.", shape=(1, 1, 16, 2)),
        linear(fields, "weight-s32", "Weights are s8 or s16.",
               weight=array("s32", 2, 1, 1, 2, fill=1)),
        linear(fields, "weight-axes", "Weights have four axes.", weight=three),
        linear(fields, "bias-s16", "A bias is s32.", bias=array("s16", 2, fill=0)),
        linear(fields, "bias-of-1", "One bias for two channels.", bias=array("s32", 1, fill=0)),
        linear(fields, "shift-of-1", "One shift for two channels.",
               shift=array("s32", 1, fill=1)),
    ]  # fmt: skip


def others() -> list[Json]:
    """Fields and ports of the other kinds."""
    table, fields = {"table": array("s32", 256, ramp=[0, 256])}, "op.fields"
    scaled = clip("s16")
    short = {"table": array("s32", 255, fill=0)}
    return [
        bad(fields, "shift-0", "A shift is at least 1.", "requantise", S16,
            **same(2, 1, 0), **scaled),
        bad(fields, "shift-63", "A shift is at most 62.", "requantise", S16,
            **same(2, 1, 63), **scaled),
        bad(fields, "multiplier-0", "A multiplier is at least 1.", "requantise", S16,
            **same(2, 0), **scaled),
        bad("op.lut", "lut-entry", "Entry 255 lies above hi.", "lut", U8,
            **table, **clip("u8", 0, 254)),
        bad("op.lut", "lut-input", "The input is s16.", "lut", S16, **table, **scaled),
        bad(fields, "lut-of-255", "An entry is missing.", "lut", U8, **short, **scaled),
        bad("op.div", "divisor-0", "The divisor's interval holds 0.", "div", S16, U8,
            left_shift=0, **scaled),
        bad(fields, "left-shift-31", "At most 30.", "div", S16, U8,
            ports=[(-9, 9), (1, 255)], left_shift=31, **scaled),
        bad("op.add", "channels", "Inputs of two and three channels.", "add", S16,
            noise("s16", 2, 2, 3), **clip("s32")),
        bad(fields, "add-of-1", "One input.", "add", S16, **scaled),
        bad(fields, "add-of-3", "Three inputs.", "add", S16, S16, S16, **scaled),
        bad("op.depth_to_space", "block", "Two channels, block 2 needs a multiple of four.",
            "depth_to_space", S16, block=2),
        bad(fields, "block-0", "A block is at least 1.", "depth_to_space", S16, block=0),
        bad(fields, "block-17", "A block is at most 16.", "space_to_depth",
            noise("u8", 17, 17, 1), block=17),
        bad("port.channels", "channels-8193", "3 * 3 * 911 = 8199 channels.", "space_to_depth",
            array("u8", 3, 3, 911, fill=0), block=3),
        bad("op.concat", "concat-dtypes", "u8 and s16.", "concat", U8, S16),
        bad(fields, "slice-end", "The end is channel 3 of 2.", "slice", S16, begin=1, end=3),
        bad(fields, "slice-empty", "From channel 1 to channel 1.", "slice", S16, begin=1, end=1),
        bad(fields, "pad-mode", "No mode `reflect`.", "pad", S16, padding=NONE, mode="reflect"),
        bad("port.hi", "interval", "hi = 128 does not fit s8.", "add", S16, S16,
            **clip("s8", -128, 128)),
        bad("port.lo", "interval-reversed", "lo = 1 lies above hi = 0.", "add", S16, S16,
            **clip("s8", 1, 0)),
        bad("port.lo", "interval-of-input", "lo = -1 does not fit u8.", "slice", U8,
            ports=[(-1, 255)], begin=0, end=1),
        bad(fields, "dtype", "No dtype `u16`.", "add", S16, S16, **{**clip("u8"), "dtype": "u16"}),
        bad(fields, "kind", "No such operation.", "softmax", S16),
        bad(fields, "field-unknown", "`stride` is none of slice's.", "slice", S16,
            begin=0, end=1, stride=1),
        bad(fields, "field-missing", "slice without `end`.", "slice", S16, begin=0),
    ]  # fmt: skip


def edited(
    clause: str, name: str, comment: str, change: Callable[[Json, Json, Json], Any]
) -> Json:  # fmt: skip
    """`x` cropped, then `out` = cropped + cropped; `change` gets the program, its port, `out`."""
    port = {"name": "x", "dtype": "s16", "channels": 2, "lo": -100, "hi": 100}
    out = {"kind": "add", "name": "out", "inputs": ["cropped", "cropped"], **clip("s16")}
    cropped = {"kind": "crop", "name": "cropped", "inputs": ["x"], "padding": [1, 0, 0, 0]}
    document = {"name": "p", "inputs": [port], "ops": [cropped, out], "outputs": ["out"]}
    change(document, port, out)
    x = array("s16", 2, 2, 2, lcg=[9, -100, 100])
    made = finish(f"invalid/{name}", clause, comment, document, {}, {"x": x})
    assert made["result"] == "invalid", name
    return made


def structure() -> list[Json]:
    """Names, order, fields and types of programs."""
    names, order = "program.names", "program.order"

    def named(name: str, comment: str, new: str) -> Json:
        def change(p: Json, _: Json, out: Json) -> None:
            out["name"] = new
            p["outputs"] = [new]

        return edited(names, f"name-{name}", comment, change)

    def rename_input(p: Json, port: Json, _: Json) -> None:
        port["name"] = "X"
        p["ops"][0]["inputs"] = ["X"]

    return [
        edited(names, "name-of-input", "`X`.", rename_input),
        named("empty", "A name has at least one character.", ""),
        named("of-65", "A name has at most 64 characters.", "a" * 65),
        named("upper-case", "`Out`.", "Out"),
        named("digit-first", "`0ut`.", "0ut"),
        named("line-feed", "A line feed after the name.", "out\n"),
        named("digit-of-another-script", "A name is ASCII.", "out\u0663"),
        edited(names, "name-of-program", "`P`.", lambda p, *_: p.update(name="P")),
        edited(order, "name-twice", "`out` is `x`.", lambda _, __, out: out.update(name="x")),
        edited(order, "input-later", "`cropped` reads `out`.",
               lambda p, *_: p["ops"][0].update(inputs=["out"])),
        edited(order, "input-itself", "`out` reads `out`.",
               lambda _, __, out: out.update(inputs=["out", "x"])),
        edited("program.outputs", "output-unknown", "No tensor `y`.",
               lambda p, *_: p.update(outputs=["y"])),
        edited("program.outputs", "outputs-none", "At least one output.",
               lambda p, *_: p.update(outputs=[])),
        edited("program.inputs", "inputs-none", "At least one input.",
               lambda p, *_: p.update(inputs=[], ops=[])),
        edited("program.json", "program-field", "`more` is no field of a program.",
               lambda p, *_: p.update(more=0)),
        edited("program.inputs", "port-field", "`more` is no field of a port.",
               lambda _, port, __: port.update(more=0)),
        edited("port.channels", "channels-0", "An input of no channels.",
               lambda _, port, __: port.update(channels=0)),
        edited("port.dtype", "dtype-of-input", "No dtype `f32`.",
               lambda _, port, __: port.update(dtype="f32")),
        edited("op.fields", "concat-of-0", "No input.",
               lambda p, *_: p["ops"].insert(0, {"kind": "concat", "name": "none", "inputs": []})),
        edited("op.fields", "kind-number", "A kind is a string.",
               lambda _, __, out: out.update(kind=1)),
    ]  # fmt: skip


def vectors() -> list[Json]:
    """All of them."""
    return [*bounds(), *kernels(), *others(), *structure()]
