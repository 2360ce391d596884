"""Fronts of a serial context model: sizes that do not belong together are refused, none is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_context import coding, picture, program

from intnet import serial_context
from intnet.backends import numba_serial
from intnet.backends.numba_serial import Run
from intnet.backends.shared_work import PANELS, WEIGHTS_STEP
from intnet.backends.simd import choose
from intnet.backends.simd.drivers import Panels
from intnet.backends.simd.job import GROUPS, N_RUNS, OUT, OUT_STEP, RUNS, STEP, TARGETS

M, SIZE, TABLES = 3, (6, 11), 20
pytestmark = pytest.mark.skipif(choose.chosen() == "generic", reason="plain loops have no tiles")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """An encoder whose loop is not entered."""
    monkeypatch.setattr(numba_serial.kernels, "front_rows", lambda *_: "entered")
    rng, _, features = picture(1, M, SIZE)
    serial = serial_context.serial(program(rng, M))
    plan = numba_serial.plan(serial)
    assert plan is not None
    return Run(plan, serial, features, coding(rng, M, TABLES), TABLES)


def enter(run: Run, y: np.ndarray | None = None) -> Any:
    return run.fronts(np.zeros((*SIZE, M), np.int16) if y is None else y, ())


def word(layer: int, at: int, more: int) -> Callable[[Run], None]:
    """A word of a layer, so much larger."""

    def damage(run: Run) -> None:
        run.layers[layer, at] += more

    return damage


def cut(name: str) -> Callable[[Run], None]:
    """An array of the run without its last row."""
    return lambda run: setattr(run, name, getattr(run, name)[:-1])


def of(name: str, **fields: Callable[[Any], Any]) -> Callable[[Run], None]:
    """Fields of a tuple of the run, changed."""

    def damage(run: Run) -> None:
        old = getattr(run, name)
        setattr(run, name, old._replace(**{n: f(getattr(old, n)) for n, f in fields.items()}))

    return damage


def move_input(run: Run) -> None:
    run.runs[1, 0] -= run.scratch.nbytes


def move_features(run: Run) -> None:
    run.places["features"] = run.scratch.nbytes, run.places["features"][1]


def panels(layer: int, change: Callable[[Panels], Panels]) -> Callable[[Run], None]:
    """Other panels of a layer, of which its words are made."""

    def damage(run: Run) -> None:
        steps = list(run.plan.steps)
        steps[layer] = steps[layer]._replace(panels=change(steps[layer].panels))
        run.plan = run.plan._replace(steps=tuple(steps))
        run.allocate()

    return damage


def run_more(side: Panels) -> Panels:
    return side._replace(weights=side.weights.repeat(2, 1))


FAR = 2**20  # bytes
DAMAGE: dict[str, tuple[Callable[[Run], None], str]] = {
    "row of latents": (of("grid", padded=lambda x: x[:-1]), "padded of shape"),
    "column of latents": (of("grid", padded=lambda x: x[:, :-1]), "padded of shape"),
    "tap to the left": (of("grid", taps=lambda x: x - [[0, 9]]), "bytes of latents"),
    "tap below": (of("grid", taps=lambda x: x - [[-9, 0]]), "bytes of latents"),
    "one tap less": (of("grid", taps=lambda x: x[1:]), "runs of shape"),
    "wider picture": (of("grid", width=lambda n: n + 1), "padded of shape"),
    "features": (cut("features"), "features of shape"),
    "features in the scratch": (move_features, "samples within"),
    "scratch": (lambda run: setattr(run, "scratch", run.scratch[:-64]), "within"),
    "longest front": (lambda run: setattr(run, "most", run.most - 1), "means of shape"),
    "symbols": (cut("symbols"), "symbols of shape"),
    "tables": (cut("tables"), "tables of shape"),
    "gain": (of("latents", gain=lambda x: x[:-1]), "gain of shape"),
    "inverse gain": (of("latents", inverse_gain=lambda x: x[:-1]), "inverse gain of shape"),
    "index offset": (of("latents", index_offset=lambda x: x[:-1]), "index offset of shape"),
    "a table more": (of("latents", last_table=lambda n: n + 1), "gain offset of shape"),
    "a word less": (lambda run: setattr(run, "layers", run.layers[:, :-1]), "layers of shape"),
    "input before the scratch": (move_input, "input bytes within"),
    "input steps": (word(1, STEP, FAR), "input bytes within"),
    "steps of latents": (word(0, STEP, 2), "from a latent of a front to the next"),
    "output after the scratch": (word(1, OUT, FAR), "output bytes within"),
    "output before the scratch": (word(1, OUT, -FAR), "output bytes within"),
    "output steps": (word(0, OUT_STEP, FAR), "output bytes within"),
    "address of runs": (word(1, RUNS, 8), "in word"),
    "runs": (word(0, N_RUNS, 1), "in word"),
    "groups": (word(1, GROUPS, 1), "in word"),
    "panels": (word(1, PANELS, 1), "in word"),
    "step of weights": (word(1, WEIGHTS_STEP, 64), "in word"),
    "address of targets": (word(0, TARGETS, 8), "in word"),
    "parameters": (panels(0, lambda p: p._replace(parameters=p.parameters[:1].repeat(9, 0))),
                   "parameters of each"),
    "targets": (panels(0, lambda p: p._replace(targets=p.targets.repeat(2, 0))), "targets of each"),
    "runs of a panel": (panels(0, run_more), "runs within 12"),
    "two runs of the scratch": (panels(1, run_more), "one run"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_sizes_that_do_not_belong_together_are_refused(run: Run, case: str) -> None:
    """Each size alone; the error names it, and the loop is not entered."""
    assert enter(run) == "entered"
    damage, words = DAMAGE[case]
    damage(run)
    with pytest.raises(ValueError, match=f"^tiles: got .* must be .*{words}"):
        enter(run)


def test_latents_of_another_size_are_refused(run: Run) -> None:
    """None are those of a decoder."""
    assert enter(run, np.empty((0, 0, M), np.int16)) == "entered"
    with pytest.raises(ValueError, match=r"y of shape \(6, 11, 3\), or none"):
        enter(run, np.zeros((SIZE[0], SIZE[1] - 1, M), np.int16))
