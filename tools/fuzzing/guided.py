"""Mutations guided by coverage: atheris (libFuzzer) instruments the Python code of the readers.

Compiled loops show no coverage; that of the Python around them leads to their statuses. libFuzzer
mutates bytes; half of the time their checksums are then made anew, and now and then the mutation is
one that knows the format.
"""

from __future__ import annotations

import contextlib
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

LARGEST = 2**20
READERS = ["intnet.alpha", "intnet.chunks", "intnet.codec", "intnet.container", "intnet.tiles",
           "intnet.tile_coding", "intnet.region", "intnet.salvage", "intnet.limits",
           "intnet.model_file", "intnet.model_frame", "intnet.program_json", "intnet.ports",
           "intnet.bounds", "intnet.shapes", "rangecoder.layout", "rangecoder.tables",
           "rangecoder.reference"]  # fmt: skip


def run(names: list[str], minutes: float, seed: int, crashes: Path) -> int:
    """Fuzz one target in this process; does not return. Raises SystemExit without atheris."""
    try:
        import atheris  # noqa: PLC0415  # an extra
    except ImportError:
        sys.exit("--coverage needs atheris: pip install -e '.[fuzz]' (Python 3.11 to 3.13, Linux)")
    if len(names) != 1:
        sys.exit("--coverage takes one target")
    with atheris.instrument_imports(include=READERS):
        for name in list(sys.modules):  # those that are loaded are loaded once more
            if name.partition(".")[0] in ("intnet", "rangecoder") or name.startswith("fuzzing."):
                del sys.modules[name]
        from fuzzing.targets import TARGETS  # noqa: PLC0415  # imports what is instrumented
    target = TARGETS[names[0]].make()
    begin = Random(seed)
    corpus = crashes / f"corpus-{names[0]}"
    corpus.mkdir(parents=True, exist_ok=True)
    for n in range(64):
        data, remade = target.mutated(begin)
        (corpus / f"begin-{n}").write_bytes(bytes([remade]) + data)

    def one(data: bytes) -> None:
        """The first byte says whether checksums were made anew; without it any answer is right."""
        target.run(data[1:], remade=True, compare=zlib.crc32(data) % 50 == 0)

    def mutate(data: bytes, size: int, own: int) -> bytes:
        rng = Random(own)
        if rng.random() < 0.1:
            made, remade = target.mutated(rng)
            return (bytes([remade]) + made)[:size]
        made = atheris.Mutate(data[1:], size - 1)
        return data[:1] + sealed(names[0], made)[: size - 1] if rng.random() < 0.5 else b"\0" + made

    words = (f"max_total_time={int(60 * minutes)}", f"seed={seed % 2**31}", "timeout=10",
             f"max_len={LARGEST}", f"artifact_prefix={crashes}/")  # fmt: skip
    setup: Any = atheris.Setup
    setup([sys.argv[0], *(f"-{word}" for word in words), str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


def sealed(name: str, data: bytes) -> bytes:
    """With checksums made anew, where the target has some."""
    from fuzzing import streams  # noqa: PLC0415  # after the modules above are instrumented

    if name in ("stream", "parts"):
        with contextlib.suppress(Exception):  # bytes may be anything
            return streams.sealed(data)
    return data
