"""Promises of the compiled form alone: types, size, fuzz, machine code."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import rangecoder
from rangecoder import PayloadError, Tables, coder, reference

ROOT = Path(__file__).parents[2]
ONE = rangecoder.build([[3, 1]], [0])


def compiled_count(kernel: Any) -> int:  # numba's own type has no stubs
    """Return how many argument types a kernel was compiled for."""
    return len(kernel.signatures)


def test_one_compilation_serves_every_caller() -> None:
    """Unlike index dtypes, strides and read-only arrays neither change bytes nor recompile."""
    symbols = np.array([0, 3, 0, 0, -9], np.int32)
    frozen = symbols.copy()
    frozen.flags.writeable = False
    strided = np.repeat(symbols, 2)[::2]
    expected = coder.encode(symbols, np.zeros(5, np.uint8), ONE)
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, ">i4", np.int32, np.int64, np.uint64):
        for variant in (symbols, frozen, strided):
            assert coder.encode(variant, np.zeros(9, dtype)[4:], ONE) == expected
        got = coder.decode(expected, np.zeros(5, dtype), ONE)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, symbols)
    assert compiled_count(coder._encode) == 1
    assert compiled_count(coder.decode_batch) == 1


def gaussian_tables() -> tuple[Tables, np.ndarray]:
    """64 zero-mean Gaussians, sigma 0.11 .. 256 log-spaced, as weights of 80 bits."""
    sigmas = [0.11 * (256 / 0.11) ** (i / 63) for i in range(64)]
    all_weights, minimum = [], []

    def tail(x: float, sigma: float) -> float:
        return math.erfc(x / sigma / math.sqrt(2)) / 2

    for sigma in sigmas:
        reach = max(1, math.ceil(4 * sigma))
        mass = [
            tail(abs(k) - 0.5, sigma) - tail(abs(k) + 0.5, sigma) for k in range(-reach, reach + 1)
        ]
        mass.append(2 * tail(reach + 0.5, sigma))
        all_weights.append([int(m * 2**80) for m in mass])
        minimum.append(-reach)
    return rangecoder.build(all_weights, minimum), np.array(sigmas)


def test_size_is_within_a_thousandth_of_the_information() -> None:
    """200 000 symbols of 64 Gaussians cost their information content + 0.1 % + 8 bytes at most."""
    tables, sigmas = gaussian_tables()
    rng = np.random.default_rng(20240229)
    indexes = rng.integers(0, 64, 200_000)
    symbols = np.rint(rng.normal(size=indexes.size) * sigmas[indexes]).astype(np.int32)
    payload = coder.encode(symbols, indexes, tables)
    ideal = rangecoder.ideal_bits(symbols, indexes, tables) / 8
    assert ideal <= len(payload) + 1
    assert len(payload) <= ideal * 1.001 + 8
    np.testing.assert_array_equal(coder.decode(payload, indexes, tables), symbols)
    few = slice(0, 3000)
    assert coder.encode(symbols[few], indexes[few], tables) == reference.encode(
        symbols[few].tolist(), indexes[few].tolist(), tables
    )


def test_ideal_bits_counts_escapes() -> None:
    """An escape costs its entry, a sign and its Exp-Golomb bits."""
    tables = rangecoder.build([[1, 1]], [0])  # entry and escape 1 bit each
    lengths = {0: 1, 1: 1 + 2, -1: 1 + 2, 2: 1 + 4, 3: 1 + 4, 4: 1 + 6, 32767: 1 + 30}
    for symbol, bits in lengths.items():
        got = rangecoder.ideal_bits(np.array([symbol], np.int32), np.array([0]), tables)
        assert got == bits


def test_tens_of_thousands_of_random_payloads() -> None:
    """Noise never breaks the compiled decoder; what it accepts is canonical."""
    tables, _ = gaussian_tables()
    rng = np.random.default_rng(7)
    accepted = 0
    for _ in range(40_000):
        size = int(rng.integers(0, 12))
        data = rng.bytes(size)
        indexes = rng.integers(0, 64, int(rng.integers(0, 20)))
        try:
            symbols = coder.decode(data, indexes, tables)
        except PayloadError:
            continue
        accepted += 1
        assert coder.encode(symbols, indexes, tables) == data
    assert accepted > 0


def test_every_short_payload_is_canonical() -> None:
    """All payloads of up to two bytes: those accepted are exactly those some symbols encode to."""
    tables = rangecoder.build([[2, 9, 4, 1]], [-1])
    indexes = np.zeros(3, np.uint8)
    accepted = {}
    for data in (
        [b""] + [bytes([i]) for i in range(256)] + [i.to_bytes(2, "big") for i in range(65536)]
    ):
        try:
            symbols = tuple(coder.decode(data, indexes, tables).tolist())
        except PayloadError:
            continue
        accepted[symbols] = data
    assert len(set(accepted.values())) == len(accepted)
    span = range(-1, 2)
    for symbols in [(a, b, c) for a in span for b in span for c in span]:
        assert accepted[symbols] == coder.encode(np.array(symbols, np.int32), indexes, tables)


INSPECT = """
import numpy as np, rangecoder
from rangecoder import coder, decoding, encoding, state
tables = rangecoder.build([[3, 1]], [0])
indexes = np.zeros(3, np.uint8)
data = coder.encode(np.array([0, 5, -5], np.int32), indexes, tables)
assert coder.decode(data, indexes, tables).tolist() == [0, 5, -5]
for module in (encoding, decoding, state):
    for name, kernel in vars(module).items():
        if hasattr(kernel, "inspect_llvm"):
            assert kernel.signatures, f"{name} was not compiled"
            print(*kernel.inspect_llvm().values())
"""


def test_kernels_contain_no_floating_point(tmp_path: Path) -> None:
    """The LLVM code of all kernels has no float or double, so nothing can round."""
    # A fresh cache folder, since numba refuses to show the code of a cached kernel.
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", INSPECT]
    text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    assert text.count("define ") >= 20
    assert re.search(r"udiv i64", text)  # the decoder's division
    assert not re.search(r"\b(float|double|half|fp128|x86_fp80)\b|f(add|mul|div|cmp)\b", text)


def test_import_compiles_nothing() -> None:
    """`import rangecoder` leaves every kernel uncompiled."""
    code = (
        "import rangecoder; from rangecoder import coder;"
        "assert not coder._encode.signatures and not coder.decode_batch.signatures"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
