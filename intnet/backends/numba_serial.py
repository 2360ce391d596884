"""`intnet.context` fused: networks, coder and latents of all fronts in one compiled loop.

A context program of convolutions, concatenations and slices becomes a plan: every tensor is a view
of a buffer that holds a front, a concatenation is the buffer that its inputs write into, and every
convolution is a layer of tiles (`simd.emit`). The masked convolution reads the decoded latents
where they lie: neighbours in a front are a constant number of bytes apart. Weights stay in the
caches, and a front is as many positions as rows, so that tiles are full.

Any other program, and plain loops, take the definition with this backend's `run`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from intnet.backends import serial_kernels as kernels
from intnet.backends import shared_work
from intnet.backends.shared_work import LAYER_WORDS
from intnet.backends.simd import choose, drivers, extents, pack
from intnet.backends.simd.drivers import Layer, Panels
from intnet.backends.simd.job import JOB_WORDS, OUT, PARAMETERS, TARGETS, WEIGHTS
from intnet.backends.simd.linear import kind_of, phase, raised
from intnet.backends.threads import GRAIN, give_way_address, pool, thread_count
from intnet.context import Coded, Coding, Plain, check_arguments
from intnet.ports import Ports, infer
from intnet.program import Array, Concat, Conv, Program, Slice
from intnet.serial_context import FEATURES, Y_HAT, Serial, fronts, margin
from rangecoder import Decoder, Encoder

ALIGN = 64  # bytes


class View(NamedTuple):
    """Where a tensor lies: bytes from the start of a buffer of positions, bytes of a sample."""

    buffer: str
    offset: int
    item: int


class Step(NamedTuple):
    """A convolution of the plan. tiles: address of its panel; high: see `pack.is_high`."""

    conv: Conv
    tiles: int
    high: bool
    panels: Panels


class Plan(NamedTuple):
    """A context program for one instruction set. widths: bytes of a position, by buffer."""

    steps: tuple[Step, ...]
    views: dict[str, View]
    widths: dict[str, int]


PLANS: WeakKeyDictionary[Serial, dict[str, Plan | None]] = WeakKeyDictionary()


class Fused(NamedTuple):
    """`encode` and `decode` of `context.Plain`, with the same bits."""

    plain: Plain

    def decode(self, serial: Serial, features: Array, decoder: Decoder, coding: Coding) -> Coded:
        """As `context.Plain.decode`."""
        ready = plan(serial)
        if ready is None:
            return self.plain.decode(serial, features, decoder, coding)
        check_arguments(serial, features, None, coding, decoder.tables.n_tables)
        run = Run(ready, serial, features, coding, decoder.tables.n_tables)
        decoder.account(*run.fronts(np.empty((0, 0, run.m), np.int16), decoder.batch()))
        return run.coded()

    def encode(
        self, serial: Serial, features: Array, y: Array, encoder: Encoder, coding: Coding
    ) -> Coded:
        """As `context.Plain.encode`."""
        ready = plan(serial)
        if ready is None:
            return self.plain.encode(serial, features, y, encoder, coding)
        check_arguments(serial, features, y, coding, encoder.tables.n_tables)
        run = Run(ready, serial, features, coding, encoder.tables.n_tables)
        nobody = Decoder(b"", encoder.tables)
        run.fronts(np.ascontiguousarray(y), nobody.batch())
        encoder.push(run.symbols.ravel(), run.tables.ravel())
        return run.coded()


def plan(serial: Serial) -> Plan | None:
    """The plan for the chosen instruction set, made once; None where there is none."""
    module = choose.load()
    if module is None:
        return None
    made = PLANS.setdefault(serial, {})
    name = module.ISA.name
    if name not in made:
        made[name] = make_plan(module, serial)
    return made[name]


def make_plan(module: ModuleType, serial: Serial) -> Plan | None:
    """Views and packed weights, None for programs that have no plan."""
    program = serial.gathered
    ports = infer(program)
    views, widths = place(module, program, ports)
    if not views:
        return None
    steps = []
    for op in program.ops:
        if isinstance(op, Conv):
            source = op.inputs[0]
            item, taps = (2, len(serial.taps)) if source == Y_HAT else (views[source].item, 1)
            steps.append(step(module, op, item, views[op.name].item, taps))
    return Plan(tuple(steps), views, widths)


def place(
    module: ModuleType, program: Program, ports: Ports
) -> tuple[dict[str, View], dict[str, int]]:
    """A view of every tensor but y_hat, and the buffers' widths; nothing where that cannot be."""
    kinds = {type(op) for op in program.ops}
    dtypes = {ports[name].dtype for name in (Y_HAT, FEATURES, *program.outputs)}
    wide = any(port.dtype == "s32" for port in ports.values())
    grouped = any(isinstance(op, Conv) and op.groups > 1 for op in program.ops)
    if kinds - {Conv, Concat, Slice} or dtypes != {"s16"} or wide or grouped:
        return {}, {}
    views: dict[str, View] = {}
    widths: dict[str, int] = {}
    for op in program.ops:
        if isinstance(op, Concat):
            item, offset = bytes_of(module, program, op.name, ports), 0
            for name in op.inputs:
                shared = isinstance(made_by(program, name), Slice | Concat)
                if name in views or shared:
                    return {}, {}  # its samples would have to lie in two places
                views[name] = View(op.name, offset, item)
                offset += ports[name].channels * item
    for name in [FEATURES, *(op.name for op in program.ops)]:
        maker = made_by(program, name)
        if isinstance(maker, Slice):
            source = views[maker.inputs[0]]
            views[name] = source._replace(offset=source.offset + maker.begin * source.item)
        elif name not in views:
            item = bytes_of(module, program, name, ports)
            views[name] = View(name, 0, item)
            widths[name] = ports[name].channels * item
    return views, widths


def made_by(program: Program, name: str) -> object:
    """The operation that makes a tensor."""
    return next((op for op in program.ops if op.name == name), None)


def bytes_of(module: ModuleType, program: Program, name: str, ports: Ports) -> int:
    """1 for a u8 tensor that is read by products of u8 alone, else 2."""
    readers = [op for op in program.ops if name in op.inputs]
    narrow = ports[name].dtype == "u8" and not isinstance(made_by(program, name), Concat) and all(
        isinstance(op, Conv) and kind_of(module, op, np.dtype(np.uint8)) == "u8" for op in readers
    )  # fmt: skip
    return 1 if narrow else 2


def step(module: ModuleType, conv: Conv, item: int, out_item: int, taps: int) -> Step:
    """A layer whose runs are taps. item, out_item: bytes of a sample of its input and output."""
    dtype = np.dtype(np.uint8 if item == 1 else np.int16)
    kind, n = kind_of(module, conv, dtype), len(conv.bias)
    assert kind is not None, "place lets no such convolution pass"
    ready = raised(conv, 2 ** (8 * item), 127 if kind == "u8" else 2**15 - 1)
    lanes = pack.lanes(module.ISA, [np.arange(n)])
    weight = ready.weight.reshape(n, taps, 1, -1)
    packed = phase(module, ready, kind, weight, lanes, 0, 0)
    targets = pack.targets(module.ISA, lanes, out_item * np.arange(n))
    panels = Panels(packed.weights, packed.parameters, targets)
    return Step(conv, module.panels()[kind], pack.is_high(ready.shift), panels)


class Run:
    """One picture: its buffers, layers and latents. features: (h, w, channels) s16."""

    def __init__(
        self, plan: Plan, serial: Serial, features: Array, coding: Coding, tables: int
    ) -> None:
        self.plan, self.serial = plan, serial
        self.features = np.ascontiguousarray(features)
        (self.height, self.width, _), self.margin = features.shape, margin(serial)
        self.m = serial.y_port.channels
        top, side = self.margin
        self.padded = np.zeros((self.height + top, self.width + 2 * side, self.m), np.int16)
        self.most = min(self.height, -(-self.width // serial.slope))
        self.symbols = np.empty((self.height * self.width, 1, self.m), np.int32)
        self.tables = np.empty((self.height * self.width, 1, self.m), np.uint16)
        self.latents = latents(serial, coding, tables)
        self.grid = kernels.Grid(
            self.height, self.width, serial.slope, np.array(serial.taps, np.int64), *self.margin,
            self.padded,
        )  # fmt: skip
        self.masked = [Y_HAT in step.conv.inputs for step in plan.steps].index(True)
        self.allocate()

    def allocate(self) -> None:
        """Buffers of a front in one array, layers whose addresses lie in it."""
        at, starts = 0, {}
        for name, width in self.plan.widths.items():
            starts[name] = at
            at += -(-(width * self.most + drivers.SLACK) // ALIGN) * ALIGN
        self.scratch = pack.aligned((at // 2,), np.int16)
        self.places = {
            name: (starts[view.buffer] + view.offset, self.plan.widths[view.buffer])
            for name, view in self.plan.views.items()
        }
        steps, taps = self.plan.steps, len(self.serial.taps)
        self.runs = np.zeros((len(steps), taps), np.int64)
        self.layers = np.array([self.layer(k, step) for k, step in enumerate(steps)], np.int64)

    def layer(self, k: int, step: Step) -> Array:
        """A row of `shared_work`'s layers."""
        base = self.scratch.ctypes.data
        conv, masked = step.conv, step.conv.inputs[0] == Y_HAT
        to, out_step = self.places[conv.name]
        stride = (self.padded.shape[1] - self.serial.slope) * self.m * 2
        if not masked:
            source, stride = self.places[conv.inputs[0]]
            self.runs[k, 0] = base + source
        out = Layer(
            step.tiles, int(step.high), len(conv.bias), self.plan.views[conv.name].item, conv.lo,
            conv.hi, 0, 0, 0, 0,
        )  # fmt: skip
        words = np.zeros(LAYER_WORDS, np.int64)
        words[:JOB_WORDS] = drivers.start_job(out, step.panels, self.runs[k], stride, out_step)
        words[OUT] = base + to
        words[[WEIGHTS, PARAMETERS, TARGETS]] = [x.ctypes.data for x in step.panels]
        words[JOB_WORDS:] = (
            step.tiles,
            len(step.panels.weights),
            *(x[0].nbytes for x in step.panels),
        )
        return words

    def coded(self) -> Coded:
        """The latents without their margin; symbols and tables from coding order to the grid."""
        top, side = self.margin
        y_hat = np.ascontiguousarray(self.padded[top:, side : side + self.width])
        places = np.concatenate([
            rows * self.width + columns
            for rows, columns in fronts(self.height, self.width, self.serial.slope)
        ])  # fmt: skip
        symbols, tables = (np.empty_like(x) for x in (self.symbols, self.tables))
        symbols[places], tables[places] = self.symbols, self.tables
        return Coded(y_hat, symbols.reshape(y_hat.shape), tables.reshape(y_hat.shape))

    def fronts(self, y: Array, batch: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """Every front, see `serial_kernels.front_rows`. y: empty to decode."""
        threads = max(1, min(thread_count(), self.work() // (4 * GRAIN)))
        jobs = [self.layers.copy() for _ in range(threads)]
        control, rest = shared_work.control_words(), give_way_address()
        outputs = self.serial.gathered.outputs
        places = [self.places[name] for name in (FEATURES, *outputs)]
        nets = kernels.Networks(
            control, self.layers, jobs[0], self.masked, self.runs, rest, self.features,
            self.scratch, np.array(places, np.int64) // 2,
        )  # fmt: skip
        front = kernels.Front(*(np.empty((self.most, 1, self.m), np.int16) for _ in range(3)))
        coded = kernels.Coded(
            self.symbols, self.tables, self.symbols.reshape(-1), self.tables.reshape(-1)
        )
        sides = [step.panels for step in self.plan.steps]
        extents.check_fronts(self.grid, nets, self.latents, front, coded, y, sides)
        helpers = [
            pool(threads - 1).submit(shared_work.help_rows, control, self.layers, mine, rest)
            for mine in jobs[1:]
        ]
        try:
            return kernels.front_rows(self.grid, nets, self.latents, front, coded, y, batch)
        finally:
            shared_work.stop(control)
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def work(self) -> int:
        """Multiply-accumulates of the largest front."""
        each = sum(int(step.panels.weights.size) for step in self.plan.steps)
        return int(self.most) * each


def latents(serial: Serial, coding: Coding, tables: int) -> kernels.Latents:
    """The arithmetic of one quality."""
    s, q, port = coding.scaling, coding.quality, serial.y_port
    rows = [np.ascontiguousarray(x[q]) for x in (s.index_offset, s.gain, s.inverse_gain)]
    dead_zone = s.dead_zone.astype(np.int64) << (s.gain_shift - 16)
    return kernels.Latents(
        rows[0], s.index_shift, tables - 1, rows[1], dead_zone, s.gain_shift, rows[2],
        s.inverse_shift, port.lo, port.hi,
    )  # fmt: skip
