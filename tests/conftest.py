"""Models and pictures that tests share."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from intnet import codec, model_file, pictures, shipped
from intnet.model_file import Model

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent  # of the environment under test

# Kernels compile in the first of many examples, and shared machines stand still for a while.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def tool(name: str) -> ModuleType:
    """A script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anonymous(pid: int | str) -> int:
    """Bytes of memory that no file backs."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of random weights, a few milliseconds per small picture."""
    path = tmp_path_factory.mktemp("models") / "tiny.inm"
    model_file.save(tool("make_tiny_model").make(), path)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Model:
    return model_file.load(tiny_path)


@pytest.fixture(scope="session")
def other_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model, whose streams the first one must refuse."""
    path = tmp_path_factory.mktemp("models") / "other.inm"
    model_file.save(tool("make_tiny_model").make(seed=1, name="other"), path)
    return path


@pytest.fixture(scope="session")
def other(other_path: Path) -> Model:
    return model_file.load(other_path)


@pytest.fixture(scope="session")
def default_model() -> Model:
    """The shipped model. A checkout without one is incomplete: say so, loudly."""
    if not (shipped.folder() / f"{shipped.DEFAULT}.inm").is_file():
        pytest.skip(f"NO SHIPPED MODEL: intnet/models/{shipped.DEFAULT}.inm is missing")
    return shipped.load()


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """RGB samples (70, 90, 3): smooth, no side a multiple of a stride."""
    y, x = np.mgrid[:70, :90]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return (127 + 60 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray) -> Path:
    """Three small pictures to learn from."""
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(3):
        tiled = np.roll(np.tile(picture, (4, 4, 1))[:256, :256], 7 * i, 1)
        Image.fromarray(tiled).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def photo_folder(
    tmp_path: Path,
    picture: np.ndarray,
    tiny_path: Path,
    tiny: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with photo.png and photo.inic; the tiny model plays the shipped one."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "photo.inm").symlink_to(tiny_path)
    monkeypatch.setattr(shipped, "folder", lambda: models)
    monkeypatch.setattr(shipped, "DEFAULT", "photo")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    pictures.write("photo.png", picture)
    Path("photo.inic").write_bytes(codec.encode(picture, tiny, 40, verify=True))
    return work


@pytest.fixture(scope="session")
def script() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Calls the console script as another process."""

    def call(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [str(BIN / "intnet"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, timeout=300, check=False, **options)

    return call


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that finds the entry points of pyproject.toml.

    Metadata are what the build backend makes for a wheel; the code is that of the tree.
    """
    source, metadata = (tmp_path_factory.mktemp(name) for name in ("source", "metadata"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "intnet", "rangecoder", "conformance"):
        (source / name).symlink_to(ROOT / name)
    code = (
        "import sys; from setuptools.build_meta import prepare_metadata_for_build_wheel as prepare"
    )
    command = [sys.executable, "-c", f"{code}; prepare(sys.argv[1])", str(metadata)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return os.environ | {"PYTHONPATH": f"{metadata}{os.pathsep}{ROOT}"}
