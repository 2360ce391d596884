"""What the wheel and the source distribution hold: all of it, and nothing else."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile

import pytest
from conftest import ROOT, tool

CHECK = tool("wheel_check")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Names in the sources, in the source distribution, and in the wheel built from that."""
    folder = tmp_path_factory.mktemp("packages")
    sdist, wheel = CHECK.build(folder)
    with tarfile.open(sdist) as archive:
        members = [member.name.partition("/")[2] for member in archive if member.isfile()]
    with zipfile.ZipFile(wheel) as archive:
        return files(CHECK.clean_copy(folder / "clean")), set(members), set(archive.namelist())


def files(folder):
    """Without hidden ones, which are git's."""
    found = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    return {path.as_posix() for path in found if path.name[0] != "."}


def test_the_sdist_is_the_sources(packages):
    """Tests, tools, documentation and the float checkpoint too."""
    sources, sdist, _ = packages
    made = {name for name in sdist if name.startswith("intnet.egg-info/")}
    assert sdist - made == sources | {"PKG-INFO", "setup.cfg"}
    assert {"models/photo.safetensors", "docs/look-map.png", "tests/golden.jsonl"} <= sources


def test_the_wheel_is_the_packages(packages):
    """Models, samples, specification and vectors beside the code; conformance is below intnet."""
    sources, _, wheel = packages
    expected = {name for name in sources if name.startswith(("intnet/", "rangecoder/"))}
    expected |= {f"intnet/{name}" for name in sources if name.startswith("conformance/")}
    assert {name for name in wheel if ".dist-info/" not in name} == expected
    assert expected >= {
        "intnet/py.typed", "intnet/models/photo.inm", "intnet/samples/selftest_hash.json",
        "intnet/conformance/SPEC.md", "intnet/conformance/vectors/v1/index.json",
    }  # fmt: skip
    assert len([name for name in expected if "/vectors/v1/" in name]) > 200


def test_everything_has_a_place():
    """A new folder or file of the repository is in the lists of the tool."""
    made = {"out", "build", "dist"}
    there = {path.name for path in ROOT.iterdir() if path.suffix != ".egg-info"} - made
    assert {name for name in there if name[0] != "."} == {*CHECK.FOLDERS, *CHECK.FILES}


def test_what_tests_need_is_installed_with_them():
    """`make test` builds the documentation."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "docs" in extras["optional-dependencies"]["dev"][0]
    assert all(">=" in need for need in extras["optional-dependencies"]["docs"])
