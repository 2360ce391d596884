"""`make wheel-check`: an environment with nothing but the wheel, used in every way, offline.

The sources are copied, the source distribution is built from the copy and the wheel from the source
distribution. What is installed with it comes from the package index. Then, without a network where
`unshare` can take it away: one photograph, encoded and decoded by the command line, by the API, by
Pillow and by Zarr, must give the same samples each time, and `intnet selftest` must pass.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("conformance", "docs", "intnet", "models", "rangecoder", "tests", "tools")
FILES = (
    "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "Makefile", "README.md",
    "SECURITY.md", "mkdocs.yml", "pyproject.toml",
)  # fmt: skip
BUILD = "import sys; from setuptools import build_meta as b; print(b.build_{kind}(sys.argv[1]))"
QUALITY = 40
HASH = "import hashlib; print(hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest())"
WAYS = {
    "API": f"""
import intnet, numpy as np
from PIL import Image
pixels = intnet.decode(intnet.encode(Image.open("photo.png"), quality={QUALITY}))
""",
    "Pillow": f"""
import intnet.pillow, numpy as np
from PIL import Image
Image.open("photo.png").save("pillow.inic", quality={QUALITY})
pixels = np.asarray(Image.open("pillow.inic"))
""",
    "Zarr 3": f"""
import numpy as np, zarr
from PIL import Image
from intnet.zarr import IntnetCodec
x = np.asarray(Image.open("photo.png"))
zarr.create_array("a.zarr", data=x, chunks=x.shape, serializer=IntnetCodec({QUALITY}),
                  compressors=None)
pixels = zarr.open_array("a.zarr", mode="r")[:]
""",
    "Zarr 2": f"""
import numpy as np, zarr
from PIL import Image
from intnet.numcodecs import Intnet
x = np.asarray(Image.open("photo.png"))
zarr.create_array("b.zarr", data=x, chunks=x.shape, compressors=Intnet({QUALITY}), zarr_format=2)
pixels = zarr.open_array("b.zarr", mode="r")[:]
""",
}


def clean_copy(folder: Path) -> Path:
    """The sources alone, in a new folder."""
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder: Path) -> tuple[Path, Path]:
    """The source distribution of a clean copy, and the wheel that is built from it."""
    source = clean_copy(folder / "source")
    sdist = built("sdist", source, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, built("wheel", unpacked, folder)


def built(kind: str, source: Path, folder: Path) -> Path:
    """What setuptools makes of a folder of sources."""
    command = [sys.executable, "-c", BUILD.format(kind=kind), str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return folder / done.stdout.splitlines()[-1]


def offline() -> list[str]:
    """What takes the network from a command; empty where that is not allowed."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = (
        shutil.which("unshare")
        and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    )
    return command if allowed else []


def main() -> None:
    """Build, install, compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = build(folder)
        for path in (sdist, wheel):
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        venv.create(folder / "venv", with_pip=True)
        binaries, work = folder / "venv" / "bin", folder / "work"
        work.mkdir()
        environment = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder)}

        def output(*command: str) -> str:
            done = subprocess.run(command, cwd=work, env=environment, capture_output=True,
                                  text=True, check=False)  # fmt: skip
            if done.returncode:
                sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
            return done.stdout

        # With the index and the certificates that pip has here.
        subprocess.run([binaries / "pip", "install", "--quiet", f"{wheel}[zarr]"], check=True)
        print("installed:", *output("pip", "list", "--format=freeze").split())
        alone = offline()
        print("network:", "none" if alone else "on (unshare is not allowed here)")
        python = str(binaries / "python")
        sample = "from intnet import selftest as s; print(s.__file__, s.sample_path())"
        module, photograph = output(python, "-c", sample).split()
        if not Path(module).is_relative_to(folder):
            sys.exit(f"not the wheel: {module}")
        shutil.copy(photograph, work / "photo.png")

        intnet = [*alone, str(binaries / "intnet")]
        output(*intnet, "encode", "photo.png", "-o", "a.inic", "-q", str(QUALITY))
        report = json.loads(output(*intnet, "decode", "a.inic", "-o", "a.png", "--json"))
        hashes = {"command line": report["pixel_sha256"]}
        for way, code in WAYS.items():
            hashes[way] = output(*alone, python, "-c", code + HASH).strip()
        for way, digest in hashes.items():
            print(f"{way:12} {digest}")
        print(output(*intnet, "selftest"), end="")
        if len(set(hashes.values())) != 1:
            sys.exit("the samples differ")
        print("all the same")


if __name__ == "__main__":
    main()
