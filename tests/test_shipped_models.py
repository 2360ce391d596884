"""Every shipped model: the same streams and the same pixels, whatever runs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import hashlib, sys
import numpy as np
from intnet import codec, pictures, selftest, shipped

sample = np.ascontiguousarray(pictures.read(selftest.sample_path())[100:292, 150:406])
for entry in shipped.at_hand():
    model = shipped.load(entry.name)
    for quality in (5, 40):
        stream = codec.encode(sample, model, quality)
        pixels = codec.decode(stream, [model], sys.argv[1]).pixels
        print(entry.name, quality, *(hashlib.sha256(x).hexdigest() for x in (stream, pixels)))
"""


def hashes(backend: str, **environment: str) -> str:
    """Of streams and pixels of all models, by a process of its own."""
    command = [sys.executable, "-c", CODE, backend]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_backends_instructions_and_threads_agree() -> None:
    expected = hashes("numpy")
    assert len(set(expected.split("\n"))) > 4
    for threads in ("1", "2", "5"):
        for environment in ({}, {"INTNET_SIMD": "generic"}):
            assert hashes("numba", INTNET_THREADS=threads, **environment) == expected, threads
