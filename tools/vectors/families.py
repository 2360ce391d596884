"""Vectors of every family of models but the first: streams, and files and streams with a fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import numpy as np

import rangecoder
from intnet import backends, codec, container, latent_coding, model_file, networks
from intnet.architecture import FACTORIZED, SERIAL
from intnet.context import Coding
from intnet.latents import Int32Array
from intnet.model_file import Model
from intnet.program import Array, Concat, Conv, Port, Program, Slice
from vectors import bad_streams, minimal_model
from vectors.bad_models import Bad
from vectors.coder import COIN, serialised
from vectors.family_models import CHECKERBOARD, FAMILIES
from vectors.model_parts import Parts
from vectors.streams import Made, model, picture, stream_vector
from vectors.tiny_model import linear

CLAUSES = {
    "factorized": "decode.prior", "scale": "decode.prior", "serial": "decode.serial",
    "serial-scale": "decode.serial", "checkerboard": "decode.steps", "quadtree": "decode.steps",
}  # fmt: skip
TILES = (66, 70, 3)  # four tiles; three are slivers


def coded(name: str, size: tuple[int, int, int], quality: int, tile: int = 0) -> bytes:
    """`picture(*size)` as the NumPy backend codes it, with the CRC of its samples."""
    return codec.encode(picture(*size), model(name), quality, "numpy", verify=True, tile=tile)


def valid() -> Iterator[Made]:
    """Streams of each family."""
    for name, clause in CLAUSES.items():
        for size, quality in (((1, 1, 3), 63), ((45, 67, 3), 0), ((33, 40, 1), 50)):
            text = f"{size[1]}x{size[0]}{'-grey' if size[2] == 1 else ''}"
            yield stream_vector(
                f"{name}-{text}", clause, f"{name}, quality {quality}.",
                coded(name, size, quality), name,
            )  # fmt: skip
        yield stream_vector(
            f"{name}-tiles", "decode.context" if "context" in model(name).programs else clause,
            f"{name}, four tiles.", coded(name, TILES, 40, 64), name,
        )  # fmt: skip
        if "context" in model(name).programs:
            yield stream_vector(
                f"{name}-extreme", "decode.dequantise",
                f"{name}, symbols at the ends of 16 bits: y_hat is clipped.",
                extreme(model(name)), name,
            )  # fmt: skip


def extreme(using: Model) -> bytes:
    """A stream of a context that no encoder writes. z at both ends of its interval."""
    size, quality = (40, 33), 40
    z = np.array([31, -31, 31, -31], np.int32)
    assert using.z_tables is not None
    (features,) = networks.prior(using, z.astype(np.int8).reshape(1, 1, 4), *size, "numpy")
    coder, context = latent_coding.context_of(using, backends.load("numpy"))
    encoder = rangecoder.Encoder(using.y_tables)
    ends = np.array([-(2**15), 2**15 - 1, 0, 1, -1], np.int32)

    def push(tables: np.ndarray, shape: tuple[int, ...]) -> Int32Array:
        symbols = np.resize(ends, tables.size)
        encoder.push(symbols, tables.ravel())
        return symbols.reshape(shape)

    def of_front(_rows: object, _columns: object, _mean: object, tables: np.ndarray) -> Int32Array:
        return push(tables, tables.shape)

    def of_step(_mean: object, tables: np.ndarray, here: np.ndarray) -> Int32Array:
        return push(tables[here], (-1,))

    choose = of_front if using.serial else of_step
    coding = Coding(using.scaling, quality)
    coder.walk(context, features, using.y_tables.n_tables, coding, choose)
    z_payload = rangecoder.encode(z, np.arange(4, dtype=np.uint16), using.z_tables)
    header = container.Header(using.model_id, quality, size[1], size[0], False, None, minor=0)
    return container.pack(
        container.Stream(header, [container.Tile(z_payload, encoder.finish())])
    )  # fmt: skip


def stream_faults() -> dict[str, bad_streams.Bad]:
    """Of payloads; one tile, or the second of several."""
    found = {}
    for name in FAMILIES:
        header, tiles = container.unpack(coded(name, (20, 70, 3), 40, 64))
        header = header._replace(pixel_crc=None)
        many = container.pack(
            container.Stream(header, [tiles[0], tiles[1]._replace(y=tiles[1].y + b"\1")])
        )
        found[f"{name}-trailing-byte"] = bad_streams.Bad(
            "coder.end", "A byte too many in y of the second tile.", many, model=name
        )
        wrong = container.pack(
            container.Stream(header, [tiles[0]._replace(y=b"\xff" * 40), tiles[1]])
        )
        found[f"{name}-quantile"] = bad_streams.Bad(
            "coder.decode", "A code beyond every entry, in y of the first tile.", wrong, model=name
        )
    header, (tile,) = container.unpack(coded("factorized", (20, 30, 3), 40))
    stream = container.Stream(header, [tile._replace(z=b"\1")])
    found["factorized-z-payload"] = bad_streams.Bad(
        "coder.end", "A byte of z, which has no channels.", container.pack(stream),
        model="factorized",
    )  # fmt: skip
    return found


def model_faults() -> dict[str, Bad]:
    """Files with one fault each, of models of one latent."""
    files = {name: model_file.to_bytes(found) for name, found in smallest()}
    return {**of_order(files), **of_format(files), **of_context(files)}


def smallest() -> Iterator[tuple[str, Model]]:
    """`minimal_model` in every family."""
    base = minimal_model.build()
    has, prior = base.programs, base.programs["prior"]
    transforms = {name: has[name] for name in FACTORIZED}
    yield "factorized", dataclasses.replace(base, programs=transforms, z_tables=None)
    index = dataclasses.replace(prior, outputs=("index",))
    yield "scale", dataclasses.replace(base, programs={**has, "prior": index})
    features = dataclasses.replace(prior, outputs=("both",))
    for name, order in (("serial", SERIAL), ("checkerboard", CHECKERBOARD)):
        weight = np.ones((2, 3, 3, 1), np.int8)
        if order == SERIAL:
            weight.reshape(2, 9)[:, 4:] = 0
        made = small_context(weight, ("mean", "index") if order == SERIAL else ("index",))
        yield name, dataclasses.replace(
            base, programs={**has, "prior": features, "context": made}, order=order
        )  # fmt: skip


def small_context(weight: Array, outputs: tuple[str, ...]) -> Program:
    """One convolution of y_hat, one of all."""
    clip, y_hat = minimal_model.S16, dataclasses.replace(minimal_model.Y, name="y_hat")
    ops = (
        linear(Conv, "seen", "y_hat", clip, weight, 3, padding=(1, 1, 1, 1)),
        Concat("joined", ("seen", "features")),
        linear(Conv, "out", "joined", clip, np.ones((2, 1, 1, 4), np.int8), 2),
        Slice("mean", ("out",), 0, 1),
        Slice("index", ("out",), 1, 2),
    )
    return Program("context", (y_hat, Port("features", *clip[:1], 2, *clip[1:])), ops, outputs)


def edited(good: bytes, *edits: tuple[str, str]) -> bytes:
    """Changes of the document, the hash made anew."""
    parts = Parts(good)
    for old, new in edits:
        parts.edit(old, new)
    return parts.file()


def of_order(files: dict[str, bytes]) -> dict[str, Bad]:
    """Of `order`."""
    document, steps = "model.document", "model.steps"
    had = '"order":[[[0],[1]],[[1],[0]]]'

    def order(text: str) -> bytes:
        return edited(files["checkerboard"], (had, f'"order":{text}'))

    def groups(count: int) -> str:
        cell = [0] * (count - 1) + [1]
        return str([[cell] * 2] * 2).replace(" ", "")

    return {
        "order-missing": Bad(
            document, "A context without.", edited(files["serial"], ('"order":"serial",', ""))
        ),
        "order-without-context": Bad(
            document, "A hyperprior with one.",
            edited(files["scale"], ('"programs":', '"order":"serial","programs":')),
        ),
        "order-unknown": Bad("model.order", "A word.", order('"raster"')),
        "order-true": Bad("model.order", "`true`.", order("true")),
        "order-one-row": Bad(steps, "One list for two.", order("[[[0],[1]]]")),
        "order-three-columns": Bad(steps, "Three.", order("[[[0],[1],[0]],[[1],[0],[1]]]")),
        "order-groups-unlike": Bad(steps, "One and two groups.", order("[[[0],[1,1]],[[1],[0]]]")),
        "order-groups-0": Bad(steps, "No group.", order("[[[],[]],[[],[]]]")),
        "order-groups-17": Bad(steps, "At most 16.", order(groups(17))),
        "order-groups-2": Bad(steps, "Two groups of one channel.", order(groups(2))),
        "order-step-16": Bad(
            steps, "Steps 0 to 16, in five groups.",
            order("[[[0,1,2,3,4],[5,6,7,8,9]],[[10,11,12,13,14],[15,16,0,0,0]]]"),
        ),
        "order-step-missing": Bad(steps, "0 and 2.", order("[[[0],[2]],[[2],[0]]]")),
        "order-step-below-0": Bad(steps, "-1.", order("[[[0],[-1]],[[0],[0]]]")),
        "order-step-true": Bad(steps, "`true` for 1.", order("[[[0],[true]],[[1],[0]]]")),
    }  # fmt: skip


def of_format(files: dict[str, bytes]) -> dict[str, Bad]:
    """Of versions and sets of programs."""
    two = ('"format":2', '"format":1')
    extra = Parts(files["factorized"])
    coin = serialised(COIN)
    extra.tensor("tables/z", "U8", [len(coin)], coin)
    many = Parts(files["scale"])
    tables = serialised(*[COIN] * 257)
    many.tensor("tables/y", "U8", [len(tables)], tables)
    many.tensor("scaling/dead_zone", "I32", [257], bytes(257 * 4))
    return {
        "format-3": Bad(
            "model.format", "1 or 2.", edited(files["scale"], ('"format":2', '"format":3'))
        ),
        "factorized-format-1": Bad("model.programs", "Two.", edited(files["factorized"], two)),
        "scale-format-1": Bad("model.interfaces", "No mean.", edited(files["scale"], two)),
        "serial-format-1": Bad("model.programs", "Five.", edited(files["serial"], two)),
        "no-family": Bad(
            "model.families", "`prior` is called `priors`.",
            Parts(files["scale"]).edit('"name":"prior"', '"name":"priors"')
            .rename("prior/", "priors/").file(),
        ),
        "factorized-z-tables": Bad("model.tensors", "No z.", extra.file()),
        "scale-y-tables-257": Bad("model.tables.y", "At most 256.", many.file()),
    }  # fmt: skip


def of_context(files: dict[str, bytes]) -> dict[str, Bad]:
    """Of what a context takes and makes."""
    serial, clause = files["serial"], "model.context"
    port = '{"channels":1,"dtype":"s16","hi":4095,"lo":-4095,"name":"y_hat"}'
    above_0 = port.replace("-4095", "1")
    edit = partial(edited, serial)
    features = '"hi":4095,"lo":-4095,"name":"features"'
    joined = '"inputs":["seen","features"]'
    out = '"hi":4095,"inputs":["joined"]'
    return {
        "context-y-hat-without-0": Bad(
            clause, "From 1 on.", edited(files["checkerboard"], (port, above_0), (port, above_0))
        ),
        "context-y-hat-narrower": Bad(
            clause, "Than in synthesis.", edit((port, port.replace("4095", "4094", 1)))
        ),
        "context-input-name": Bad(
            clause, "`feature`.",
            edit(('"name":"features"', '"name":"feature"'), (joined, joined.replace("es", "e"))),
        ),
        "context-one-input": Bad(
            "model.interfaces", "No features.",
            edit((',{"channels":2,"dtype":"s16","hi":4095,"lo":-4095,"name":"features"}', ""),
                 (joined, '"inputs":["seen","seen"]')),
        ),
        "context-features-interval": Bad(
            "model.interfaces", "Wider than it takes.",
            edit((features, features.replace("4095", "4094", 1))),
        ),
        "context-mean-interval": Bad(
            "model.interfaces", "Wider than y_hat.", edit((out, out.replace("4095", "9000")))
        ),
        "context-three-outputs": Bad(
            "model.interfaces", "index twice.",
            edit(('"outputs":["mean","index"]', '"outputs":["mean","index","index"]')),
        ),
        "context-stride": Bad(
            "model.sizes", "1 x 2 for 2 x 3.",
            edit(('"name":"out","padding":[0,0,0,0],"stride":1',
                  '"name":"out","padding":[0,0,0,0],"stride":2')),
        ),
        "prior-of-context-outputs": Bad(
            "model.interfaces", "features twice.",
            edit(('"outputs":["both"]', '"outputs":["both","both"]')),
        ),
        "serial-sees-itself": Bad(
            "model.serial", "A weight in the middle of the kernel.",
            Parts(serial).write("context/seen/weight", 4, b"\1").file(),
        ),
        "serial-unmasked": Bad(
            "model.serial", "Weights on all sides.",
            edited(files["checkerboard"],
                   ('"order":[[[0],[1]],[[1],[0]]]', '"order":"serial"')),
        ),
        "serial-gives-y-hat": Bad(
            "model.serial", "As its mean.",
            edit(('"outputs":["mean","index"]', '"outputs":["y_hat","index"]')),
        ),
        "serial-padding": Bad(
            "model.serial", "A row too much above, one too few below.",
            edit(('"padding":[1,1,1,1]', '"padding":[2,1,0,1]')),
        ),
    }  # fmt: skip
