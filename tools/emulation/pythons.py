"""Debian's Python of other processors on qemu's user-mode emulators; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from emulation import debian

PACKAGES = ("python3", "python3-numpy")


class Architecture(NamedTuple):
    """A processor, and what Python must say of it."""

    name: str  # as people call it
    debian: str  # as Debian calls it
    qemu: str  # as qemu calls it
    machine: tuple[str, ...]  # platform.machine()
    bits: int
    byteorder: str
    suites: tuple[str, ...] = ("bookworm",)  # tried in turn: mirrors are not always whole


ARCHITECTURES = (
    Architecture("aarch64", "arm64", "aarch64", ("aarch64",), 64, "little"),
    Architecture("s390x", "s390x", "s390x", ("s390x",), 64, "big"),
    Architecture("i386", "i386", "i386", ("i386", "i486", "i586", "i686"), 32, "little"),
    Architecture("armhf", "armhf", "arm", ("armv7l", "armv8l"), 32, "little"),
    Architecture("riscv64", "riscv64", "riscv64", ("riscv64",), 64, "little", ("trixie", "forky")),
    Architecture("ppc64el", "ppc64el", "ppc64le", ("ppc64le",), 64, "little"),
)


def emulators(cache: Path) -> Path:
    """The folder of qemu's programs, one for each architecture."""
    wanted = sorted(f"qemu-{architecture.qemu}" for architecture in ARCHITECTURES)

    def make(folder: Path) -> None:
        debian.unpack("trixie", "amd64", ["qemu-user"], folder)
        for program in (folder / "usr/bin").glob("qemu-*"):  # one of some forty
            if program.name not in wanted:
                program.unlink()

    folder = debian.prepared(cache / "qemu-arches", f"trixie qemu-user {wanted}", make)
    return folder / "usr/bin"


def sysroot(cache: Path, architecture: Architecture) -> Path:
    """Debian's Python of an architecture and all that it depends on, as it would lie under /."""
    recipe = f"{architecture.suites} {PACKAGES}"
    folder = cache / f"python-{architecture.debian}"
    return debian.prepared(folder, recipe, lambda made: unpack(architecture, made))


def unpack(architecture: Architecture, folder: Path) -> None:
    """The packages of the first suite that can be had; the file `suite` says which it was."""
    for suite in architecture.suites:
        try:
            debian.unpack(suite, architecture.debian, PACKAGES, folder)
        except subprocess.CalledProcessError:
            print(f"{architecture.name}: {suite} cannot be had", file=sys.stderr, flush=True)
            if suite == architecture.suites[-1]:
                raise
            shutil.rmtree(folder)
            folder.mkdir()
        else:
            (folder / "suite").write_text(suite, encoding="utf-8")
            make_relative(folder)
            link_alternatives(folder)
            return


def make_relative(root: Path) -> None:
    """Make absolute links relative: qemu would follow them to this machine's files."""
    for folder, names, files in os.walk(root):
        for path in (Path(folder, name) for name in (*names, *files)):
            if path.is_symlink() and path.readlink().is_absolute():
                inside = root / path.readlink().relative_to("/")
                path.unlink()
                path.symlink_to(os.path.relpath(inside.resolve(), path.parent.resolve()))


def link_alternatives(root: Path) -> None:
    """The libraries of linear algebra where the loader looks; a package's script would do it."""
    for library in root.glob("usr/lib/*/*/lib*.so.3"):
        if library.parent.name in ("blas", "lapack"):
            (library.parents[1] / library.name).symlink_to(f"{library.parent.name}/{library.name}")


def command(programs: Path, root: Path, architecture: Architecture) -> list[str]:
    """What starts the emulated Python."""
    (python,) = (root / "usr/bin").glob("python3.1[0-9]")
    return [str(programs / f"qemu-{architecture.qemu}"), "-L", str(root), str(python)]


def environment(cache: Path, root: Path, architecture: Architecture) -> dict[str, str]:
    """No Python of this machine, no settings of it, nothing written to the checkout."""
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHOME": str(root / "usr"),
        "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1",
        "PYTHONPYCACHEPREFIX": str(cache / f"python-{architecture.debian}-pyc"),
    }  # fmt: skip
