"""The numba backend as it ships on a 64-bit Arm processor emulated by qemu.

Debian's Python and the wheels of PyPI for arm64, unpacked; `on_arm.py` runs in that Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from emulation import debian
from emulation.running import ROOT, kernels

CPU = "cortex-a76"  # has dot products, and LLVM knows it by name
PACKAGES = ("python3", "libstdc++6", "zlib1g")
PLATFORMS = [f"--platform=manylinux_2_{n}_aarch64" for n in (17, 27, 28)]
TAGS = ["--python-version=311", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]


def run(cache: Path, *, plant: bool) -> bool:
    """Tests, vectors and the bundled photograph; True if all is as it must be."""
    command, env = python(cache)
    arguments = [*command, str(Path(__file__).with_name("on_arm.py"))]
    arguments += ["--plant"] if plant else []
    env["PYTHONPATH"] += f":{ROOT}:{ROOT}/tools"
    return subprocess.run(arguments, cwd=ROOT, env=env, check=False).returncode == 0


def python(cache: Path) -> tuple[list[str], dict[str, str]]:
    """The command of an emulated Python with all that intnet needs, and its environment."""
    qemu = debian.prepared(cache / "qemu", "trixie qemu-user", emulator)
    root = debian.prepared(
        cache / "arm64", f"bookworm {PACKAGES}",
        lambda folder: debian.unpack("bookworm", "arm64", PACKAGES, folder),
    )  # fmt: skip
    wanted = requirements()
    site = debian.prepared(
        cache / "arm64-site", "\n".join(wanted), lambda folder: wheels(wanted, folder)
    )
    command = [qemu / "usr/bin/qemu-aarch64", "-cpu", CPU, "-L", root, root / "usr/bin/python3.11"]
    return list(map(str, command)), environment(cache, root, site)


def emulator(folder: Path) -> None:
    """qemu of trixie, the first that shows the emulated processor in /proc/cpuinfo."""
    debian.unpack("trixie", "amd64", ["qemu-user"], folder)
    for program in (folder / "usr/bin").glob("qemu-*"):  # one of some thirty
        if program.name != "qemu-aarch64":
            program.unlink()


def requirements() -> list[str]:
    """What intnet needs to run, and its tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tests = ("pytest", "hypothesis")
    extra = [name for name in project["optional-dependencies"]["dev"] if name.startswith(tests)]
    return [*project["dependencies"], *extra]


def wheels(wanted: list[str], folder: Path) -> None:
    """Wheels of PyPI for arm64 and all that they depend on, unpacked."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:",
                "-d", str(folder / "wheels"), *PLATFORMS, *TAGS, *wanted]  # fmt: skip
    subprocess.run(download, check=True)
    for wheel in (folder / "wheels").glob("*.whl"):
        shutil.unpack_archive(wheel, folder, "zip")
    shutil.rmtree(folder / "wheels")


def environment(cache: Path, root: Path, site: Path) -> dict[str, str]:
    """No Python of this machine, nothing written to the checkout."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(site), "PYTHONNOUSERSITE": "1",
        "PYTHONPYCACHEPREFIX": str(cache / "arm64-pyc"), "PYTHONUNBUFFERED": "1",
        "NUMBA_CACHE_DIR": str(kernels(cache / "arm64-numba")),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(cache / "arm64-hypothesis"), "INTNET_SIMD": "neon",
    }  # fmt: skip
