"""`intnet bench`: what is compared is the same work, ratios are right, missing peers are said."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import rangecoder
from intnet import cli, codec, container, pictures, selftest
from intnet.backends.simd import choose
from intnet.bench import codec as codec_bench
from intnet.bench import coder, float_twin, kernel_peers, kernels, peers, plot, race, sizes
from intnet.bench.coder_peers import Coder
from intnet.bench.layers import CASES
from intnet.bench.race import Settings
from intnet.bench.report import PRODUCT, Report
from intnet.commands.bench import CAPS
from intnet.errors import IntnetError

PEERS = ("torch", "onnx", "onnxruntime", "constriction", "torchac", "compressai", "pillow_jxl")
DOCUMENT = {
    "benchmark", "summary", "unit", "machine", "settings", "results", "not_measured", "notes",
}  # fmt: skip
SUMMARIES = {
    "kernels": {
        "torch_float32_ratio_geomean", "torch_bfloat16_ratio_geomean",
        "onnxruntime_int8_ratio_geomean", "s16_torch_float32_ratio_geomean",
        "peak_fraction_min", "peak_fraction_1x1", "isa",
    },
    "coder": {
        "encode_msymbols_per_s", "decode_msymbols_per_s", "overhead_percent",
        "constriction_gaussian_encode_ratio", "constriction_gaussian_decode_ratio",
        "constriction_fixed_encode_ratio", "constriction_fixed_decode_ratio",
    },
    "codec": {
        "decode_vs_float_twin", "encode_vs_float_twin", "decode_vs_compressai_hyperprior",
        "encode_vs_compressai_hyperprior", "serial_decode_vs_compressai_mbt2018",
        "intnet_encode_mp_per_s", "intnet_decode_mp_per_s",
    },
    "codec --sizes": {
        "encode_spread", "decode_spread", "encode_0.01_mp_seconds_per_mp",
        "decode_0.02_mp_seconds_per_mp",
    },
}  # fmt: skip
RIVALS = {
    "kernels": {"torch float32", "torch bfloat16", "onnxruntime int8"},
    "coder": {"constriction Gaussian", "constriction categorical", "torchac"},
    "codec": {"float twin", "CompressAI hyperprior", "JPEG", "WebP", "AVIF", "JPEG XL"},
    "codec --sizes": set(),
}
TIMES = {PRODUCT: [1.0, 2.0, 1.0], "peer": [3.0, 8.0, 3.0]}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Whatever --threads sets ends with the test."""
    monkeypatch.setenv("INTNET_THREADS", "1")


def bench(line, code=0):
    return_ = CliRunner().invoke(cli.app, ["bench", *line.split()])
    assert return_.exit_code == code, (return_.stderr, return_.exception)
    return return_


def quick(verb, *options):
    """The document of a verb, at sizes that take seconds."""
    (line,) = bench(f"{verb} --quick --rounds 1 --json {' '.join(options)}").stdout.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("module", [race, peers, kernels, sizes], ids=lambda m: m.__name__)
def test_examples(module):
    """Ratios, means and selections are what their docstrings show."""
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


def test_a_slower_product_shows():
    """Twice the time halves rate and ratio, in the rounds where it happens and in the median."""
    reports = []
    for slowdown in (1, 2):
        report = Report("test", "MP/s", {})
        times = TIMES | {PRODUCT: [t * slowdown for t in TIMES[PRODUCT]]}
        report.add("case", times, work=6.0)
        reports.append(report)
    assert [r.ratio("case", "peer") for r in reports] == [3.0, 1.5]
    assert [r.rate("case") for r in reports] == [6.0, 3.0]
    assert [r.rows[1]["ratio"] for r in reports] == [3.0, 1.5]
    assert [race.geomean([r.ratio("case", "peer"), 27.0]) for r in reports] == pytest.approx(
        [9.0, 40.5**0.5]
    )


def test_what_did_not_run_has_no_ratio():
    report = Report("test", "MP/s", {})
    report.add("case", TIMES, work=1.0)
    assert report.ratio("case", "absent") is None
    assert report.rate("no such case") is None
    assert race.geomean([None]) is None


def test_contenders_take_turns():
    """Round by round, each as often as the others, with a tick for each turn."""
    order, ticks = [], []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}

    def watch(label, turns):
        ticks.append((label, turns))
        return lambda: ticks.append("tick")

    times = race.race("letters", calls, Settings(1, 2, watch=watch), warm=False)
    assert order == list("abcabc")
    assert ticks == [("letters", 6)] + ["tick"] * 6
    assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys("abc", 2)


def test_a_turn_waits_for_threads_that_spin():
    """What the contender before left running must not take a core from the next one."""
    until = time.process_time() + 0.2

    def spin():
        while time.process_time() < until:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    race.settle()
    assert not thread.is_alive()


def test_short_calls_fill_a_turn():
    """A call of no length is repeated, one that fills a turn is not."""
    assert race.calls_for(lambda: None, 1e-3) > 10
    assert race.calls_for(lambda: None, 0.0) == 1


@pytest.mark.parametrize("verb", SUMMARIES)
def test_document(verb):
    """Every key is there; every peer was measured or its absence is explained."""
    document = quick(verb)
    assert document.keys() == DOCUMENT
    assert document["summary"].keys() >= SUMMARIES[verb]
    assert {"cpu", "features", "cores", "threads", "governor", "versions"} <= document[
        "machine"
    ].keys()
    measured = {row["contender"] for row in document["results"]}
    assert PRODUCT in measured
    assert RIVALS[verb] <= measured | document["not_measured"].keys()
    for row in document["results"]:
        assert row["rate"] > 0
        assert len(row["samples"]) == document["settings"]["rounds"] == 1
        if row["contender"] == PRODUCT:
            assert row.get("inexact_percent", 0) == 0


@pytest.mark.parametrize("verb", ["kernels", "coder", "codec"])
def test_missing_peers_are_named_with_their_cure(verb, monkeypatch):
    """The product is measured all the same, and ratios are null."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)
    document = quick(verb)
    there = {"JPEG", "WebP", "AVIF"}  # come with Pillow
    missing = document["not_measured"]
    assert missing.keys() == RIVALS[verb] - there
    assert all("not installed (pip install" in why for why in missing.values())
    ratios = [v for k, v in document["summary"].items() if "ratio" in k or "_vs_" in k]
    assert ratios
    assert set(ratios) == {None}
    assert {row["contender"] for row in document["results"]} <= there | {PRODUCT, kernels.WIDE}


def test_text_says_the_same(monkeypatch):
    """Summary first; what is missing and the machine after the table."""
    monkeypatch.setitem(sys.modules, "constriction", None)
    lines = bench("coder --quick --rounds 1 --only constriction").stdout.splitlines()
    assert lines[0].startswith("encode_msymbols_per_s")
    assert "constriction Gaussian: not installed (pip install 'intnet[bench]')" in lines
    assert "--quick: these times mean nothing" in lines
    assert any(line.startswith("machine: ") for line in lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_torch_computes_the_same_layer(case):
    """Sums of the reference, but for float32's rounding."""
    small = kernels.small(case)
    make = kernel_peers.torch_convolution("float32", 1)
    got = make(small)().numpy()
    got = got[0] if case.kernel == 1 else np.moveaxis(got[0], 0, -1)
    exact = kernels.reference(small, "u8", sums=True)
    np.testing.assert_allclose(got, exact, rtol=1e-5, atol=8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layers_use_their_range(case):
    """Outputs are neither all clipped nor all small, so that a wrong one would show."""
    y = kernels.reference(kernels.small(case), "u8")
    inside = (y > 0) & (y < 255)
    assert inside.mean() > 0.2
    assert y.max() > 100


def test_onnxruntime_computes_the_same_layer():
    """With weights so small that no pair of products saturates, all outputs are exact."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")

    class Light(type(CASES[0])):
        def weight(self):
            return super().weight() // 4

    small = Light(**dataclasses.asdict(kernels.small(CASES[1])))
    make = kernel_peers.onnxruntime_int8(1)
    found = kernels.differing(small, {kernels.QUANTISED: make})
    assert found == dict.fromkeys((PRODUCT, kernels.WIDE, kernels.QUANTISED), 0.0)


def test_inexact_outputs_are_counted():
    exact = np.zeros((2, 5, 2))
    got = exact.copy()
    got[1, 3] = 1
    assert kernels.percent(got, exact) == 10.0


@pytest.mark.parametrize("make", [coder.many_tables, coder.one_table, coder.short])
def test_messages(make):
    """About two bits a symbol, never an escape, and the coder comes within 0.1 % of that."""
    message = make(20_000)
    t = message.tables
    k = message.symbols - t.minimum[message.indexes]
    assert k.min() >= 0
    assert (k < np.diff(t.start)[message.indexes] - 2).all()
    ideal = rangecoder.ideal_bits(message.symbols, message.indexes, t)
    assert 1.7 < ideal / message.symbols.size < 2.4
    assert abs(coder.overhead(PRODUCT, coder.product(message), message, ideal)) < 0.1


def test_a_coder_that_errs_is_refused():
    message = coder.one_table(100)
    wrong = Coder(lambda: b"", lambda: message.symbols + 1)
    with pytest.raises(IntnetError, match="bench coder, wrong: decoded symbols differ"):
        coder.overhead("wrong", wrong, message, 1.0)


def test_float_twin_codes_the_same_symbols(default_model):
    """Its payloads are those of the product, its picture has the same shape."""
    pixels = pictures.read(selftest.sample_path())[:100, :150]
    twin = float_twin.verbs(pixels, default_model, 32, 1)
    stream = codec.encode(pixels, default_model, 32)
    assert twin.encode() == twin.size == len(stream) - len(stream_header(stream))
    decoded = twin.decode()
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8


def stream_header(stream):
    """What lies before the payloads."""
    _, ((z_payload, y_payload),) = container.unpack(stream)
    return stream[: len(stream) - len(z_payload) - len(y_payload)]


def test_only(monkeypatch):
    """Names cases or peers; what is part of no name is wrong usage."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)
    document = quick("kernels", "--only", "3x3,")
    assert document["settings"]["cases"] == ["3x3, 128 channels", "3x3, 64 channels"]
    assert "must be part of one of" in bench("coder --only nonsense", code=2).stderr


def test_plot(tmp_path):
    """The picture is written; where it cannot be, nothing is measured."""
    target = tmp_path / "bench.png"
    quick("coder", "--plot", str(target))
    with Image.open(target) as drawn:
        assert drawn.size[0] > 400
        assert len(drawn.convert("RGB").getcolors(2**20)) > 100  # bars and letters
    wrong = bench(f"coder --quick --plot {tmp_path}/none/bench.png", code=1)
    assert "No such folder" in wrong.stderr  # so says the check, not matplotlib


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install" in bench("coder --quick --plot x.png", code=1).stderr
    with pytest.raises(peers.NotInstalledError):
        plot.check()


def test_broken_peer_says_why(monkeypatch):
    """A package that is there but does not load is not called missing."""

    def fail(_name):
        raise OSError("libcuda.so: cannot open\nmore")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(peers.NotInstalledError, match=r"does not load: libcuda\.so: cannot open$"):
        peers.need("torch")


def test_isa_holds_all_or_nothing(monkeypatch):
    """The names are known here, and torch must not have chosen already."""
    assert all(cap["INTNET_SIMD"] in choose.FEATURES for cap in CAPS.values())
    monkeypatch.setitem(sys.modules, "torch", object())
    assert "torch is loaded already" in bench("kernels --isa avx2", code=2).stderr


@pytest.mark.parametrize("verb", ["kernels", "coder", "codec"])
def test_help_teaches_with_an_example(verb):
    text = bench(f"{verb} --help").stdout
    assert f"\n  intnet bench {verb}" in text
    assert "--json" in text


def test_nothing_optional_is_imported_for_help():
    code = f"import sys, intnet.cli, intnet.bench.kernels, intnet.bench.coder, intnet.bench.sizes\n\
assert not [m for m in {PEERS} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_startup():
    """Processes of their own; the first one compiles everything."""
    summary = quick("codec --startup")["summary"]
    assert summary.keys() == {"import_seconds", "decode_seconds", "first_run_seconds"}


def test_a_serial_prior_is_measured_with_and_without_its_rival():
    """What comes out is what went in, or the benchmark refuses to time it."""
    document = quick("codec --slow", "--only", "JPEG")
    (row,) = [r for r in document["results"] if r["case"] == codec_bench.SERIAL]
    assert row["contender"] == PRODUCT
    assert 0.1 < row["bpp"] < 10
    assert document["summary"]["serial_decode_vs_compressai_mbt2018"] is None


def test_bundled_picture_is_the_default(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    document = quick("codec", "--only", "JPEG")
    assert Path(document["settings"]["picture"]) == selftest.sample_path()
    assert document["settings"]["width"] == 128
