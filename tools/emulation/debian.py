"""Debian packages of any suite and architecture unpacked into a folder; nothing is installed.

A private apt believes in a machine that has nothing, so that it fetches every dependency. No
script of a package runs, and no root rights are needed.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
UNWANTED = ("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*",
            "./usr/share/icons/*", "./etc/*", "./var/*")  # fmt: skip


class MissingError(Exception):
    """What this machine lacks, and where to get it."""


def need(*programs: str, package: str) -> None:
    """Raise MissingError unless all programs are there."""
    for program in programs:
        if not shutil.which(program):
            raise MissingError(f"{program} is not installed (Debian: apt-get install {package})")


def prepared(folder: Path, recipe: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once for each recipe; half-made ones are made anew.

    Other processes that want it meanwhile wait.
    """
    stamp = folder / ".made"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != recipe:
            print(f"preparing {folder}", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            stamp.write_text(recipe, encoding="utf-8")
    return folder


def unpack(suite: str, architecture: str, packages: Sequence[str], folder: Path) -> None:
    """Packages and all that they depend on, as they would lie under /."""
    need("apt-get", "dpkg-deb", "tar", package="apt dpkg tar")
    if not KEYS.is_file():
        raise MissingError(f"{KEYS} is missing (Debian and Ubuntu: debian-archive-keyring)")
    apt = folder / "apt"
    options = private(apt, suite, architecture)
    subprocess.run(["apt-get", *options, "update"], check=True)
    with (apt / "log").open("w") as log:
        install = ["apt-get", *options, "install", "-y", "-d", *packages]
        subprocess.run(install, check=True, stdout=log)
    for name in ("lib", "lib64", "bin", "sbin"):  # older packages have /lib, newer ones /usr/lib
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for package in sorted((apt / "archives").glob("*.deb")):
        extract(package, folder)
    shutil.rmtree(apt)


def extract(package: Path, folder: Path) -> None:
    """The files of one package."""
    excluded = [f"--exclude={pattern}" for pattern in UNWANTED]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as source:
        tar = ["tar", "-x", "-C", str(folder), "--no-same-owner", "--keep-directory-symlink"]
        subprocess.run([*tar, *excluded], stdin=source.stdout, check=True)
    if source.returncode:
        raise subprocess.CalledProcessError(source.returncode, source.args)


def private(apt: Path, suite: str, architecture: str) -> list[str]:
    """Options of an apt that keeps everything in one folder."""
    for name in ("lists/partial", "archives/partial", "none"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "debian.sources").write_text(
        f"Types: deb\nURIs: {MIRROR}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYS}\n",
        encoding="utf-8",
    )
    settings = {
        "Dir::State": apt, "Dir::State::status": apt / "status", "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt, "Dir::Cache::archives": apt / "archives",
        "Dir::Etc::sourcelist": apt / "debian.sources", "Dir::Etc::sourceparts": apt / "none",
        "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": apt / "none",
        "APT::Architecture": architecture, "APT::Architectures": architecture,
        "Acquire::Languages": "none", "Debug::NoLocking": "1", "APT::Install-Recommends": "0",
        "Acquire::http::Timeout": "20", "Acquire::Retries": "1",
        "APT::Sandbox::User": "root", "APT::Keep-Downloaded-Packages": "1",
    }  # fmt: skip
    return ["-qq", *(text for key, value in settings.items() for text in ("-o", f"{key}={value}"))]
