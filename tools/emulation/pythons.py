"""Debian's Python and NumPy of other processors, by qemu or, 32-bit x86, by the kernel itself.

Nothing is installed.
"""

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
    loader: str = ""  # starts its programs where the kernel runs them without an emulator


ARCHITECTURES = (
    Architecture("aarch64", "arm64", "aarch64", ("aarch64",), 64, "little"),
    Architecture("s390x", "s390x", "s390x", ("s390x",), 64, "big"),
    Architecture("i386", "i386", "i386", ("i386", "i486", "i586", "i686"), 32, "little",
                 loader="lib/ld-linux.so.2"),
    Architecture("armhf", "armhf", "arm", ("armv7l", "armv8l"), 32, "little"),
    Architecture("riscv64", "riscv64", "riscv64", ("riscv64",), 64, "little", ("trixie", "forky")),
    Architecture("ppc64el", "ppc64el", "ppc64le", ("ppc64le",), 64, "little"),
)  # fmt: skip


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
    """Debian's packages of an architecture and all that they depend on, as under /."""
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


def is_native(root: Path, architecture: Architecture) -> bool:
    """Whether this kernel runs the programs of an architecture itself."""
    if not architecture.loader or not shutil.which("setarch"):
        return False
    try:
        asked = [*loaded(root, architecture), "-V"]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def loaded(root: Path, architecture: Architecture) -> list[str]:
    """What starts the Python by its own loader; setarch, so that the kernel names the processor."""
    libraries = root / f"usr/lib/{architecture.debian}-linux-gnu"
    return ["setarch", architecture.machine[-1], str(root / architecture.loader),
            "--library-path", str(libraries), python(root)]  # fmt: skip


def python(root: Path) -> str:
    """The one Python of a root."""
    (found,) = (root / "usr/bin").glob("python3.1[0-9]")
    return str(found)


def command(programs: Path, root: Path, architecture: Architecture) -> list[str]:
    """What starts the Python of an architecture."""
    if is_native(root, architecture):
        return loaded(root, architecture)
    return [str(programs / f"qemu-{architecture.qemu}"), "-L", str(root), python(root)]


def environment(cache: Path, root: Path, architecture: Architecture) -> dict[str, str]:
    """No Python of this machine, no settings of it, nothing written to the checkout."""
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHOME": str(root / "usr"),
        "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1",
        "PYTHONPYCACHEPREFIX": str(cache / f"python-{architecture.debian}-pyc"),
    }  # fmt: skip
