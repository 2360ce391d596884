"""`intnet warmup`: compile every kernel now, so that no later run waits for it."""

from __future__ import annotations

import time

from intnet.commands import common


@common.verb
def warmup(*, as_json: common.Json = False) -> None:
    """Compile the kernels once; later runs load them.

    They go into numba's cache. Encodes and decodes the bundled photograph, which uses every kernel
    that pictures need, for the instruction set of this processor (or INTNET_SIMD). Run it once
    after an installation.

    \b
    intnet warmup
    """
    from rich.console import Console
    from rich.progress import track

    from intnet import backends, codec, pictures, selftest, shipped

    backends.load("numba")  # says so where there is none
    from intnet.backends.simd import choose

    started = time.perf_counter()
    model, photograph = shipped.load(), pictures.read(selftest.sample_path())
    console = Console(stderr=True)
    pixels = (photograph, photograph[..., :1].copy())
    for x in track(pixels, "compiling", console=console, disable=not console.is_terminal):
        codec.decode(codec.encode(x, model, verify=True), [model])
    seconds = time.perf_counter() - started
    report = {"instruction_set": choose.chosen(), "seconds": round(seconds, 3)}
    if as_json:
        common.print_json(report)
    else:
        common.say(f"kernels for {report['instruction_set']} are ready, {seconds:.1f} s")
