"""Execute the micro-kernels of processors that this machine is not, on emulators.

    python tools/emulate_simd.py vnni     AVX-512 VNNI and AVX-VNNI: the panels, on bochs
    python tools/emulate_simd.py arm      Arm with dot products: the whole backend, on qemu

Exit code 1 on any difference, 2 where something is missing. `--plant` makes one weight wrong and
must end with 1; without it every run holds a control of its own that must come out wrong.

Set-up goes into a cache folder, once, and installs nothing: packages of Debian and PyPI are
unpacked there. It needs an x86-64 Linux with apt-get, dpkg-deb and Debian's keys, gcc and binutils
for `vnni`, pip for `arm`.

Measured on one core of an EPYC (Zen 3), under nice:

    vnni   set-up 20 s, 140 MB; then 11 s for 1,092 jobs on each of three processors
    arm    set-up 60 s, 390 MB; then 9 minutes of processor time where numba has compiled nothing
           yet, 1 minute where it has: 1,092 jobs, 64 tests, 151 vectors and a photograph

On a machine shared by many both may take several times as long.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from emulation.debian import MissingError

CACHE = Path.home() / ".cache" / "intnet-emulation"


def main() -> int:
    """Parse, check the machine, run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", choices=["arm", "vnni"], help="processors to emulate")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--plant", action="store_true", help="make one weight wrong; must fail")
    arguments = parser.parse_args()
    try:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            print("NOT RUN: the emulators are programs for x86-64 Linux", file=sys.stderr)
            return 2
        arguments.cache.mkdir(parents=True, exist_ok=True)
        target = import_module(f"emulation.{arguments.target}")
        right = bool(target.run(arguments.cache.resolve(), plant=arguments.plant))
    except (MissingError, subprocess.CalledProcessError) as error:
        print(f"NOT RUN: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.target}: {'all as it must be' if right else 'FAILED'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
