"""tools/float_failure.py: integers agree everywhere, and a planted difference is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from intnet import shipped
from intnet.training.evaluate import load_model

sys.path.append(str(ROOT / "tools"))  # the tool's parts are a package there

from float_pairs import environments, inputs, numpy_prior, pairs, report
from float_pairs.environments import Environment, NotMeasuredError, Subject

QUALITY = 32
CHECKPOINT = ROOT / "models/photo.safetensors"


def crop() -> np.ndarray:
    """A picture whose sides are no multiples of 64."""
    with Image.open(ROOT / "intnet/samples/giraffe.png") as image:
        return np.asarray(image.convert("RGB"))[100:228, 100:200]


@pytest.fixture(scope="module")
def floats():
    return load_model(CHECKPOINT)


@pytest.fixture(scope="module")
def model():
    return shipped.load()


@pytest.fixture(scope="module")
def picture(model, floats):
    return inputs.picture(crop(), model, floats)


@pytest.fixture(scope="module")
def gains(floats):
    return inputs.gains(floats, QUALITY)


@pytest.fixture(scope="module")
def given(tmp_path_factory, picture, floats, gains):
    """inputs.npz of one picture."""
    target = tmp_path_factory.mktemp("given") / "inputs.npz"
    inputs.write(target, [picture], floats, gains)
    return target


@pytest.fixture(scope="module")
def seen(given):
    """Mean and table of each symbol, from the NumPy prior in this process."""
    with np.load(given) as file:
        return pairs.Seen(*numpy_prior.prior(dict(file), file["z0"], file["grid0"], "blas"))


@pytest.mark.parametrize("form", ["blas", "einsum"])
def test_numpy_prior_is_the_trained_one(form, given, picture, floats):
    """To rounding; were it another network, its failures would say nothing."""
    with np.load(given) as file:
        ours = numpy_prior.network(dict(file), picture.z, form)
    with torch.no_grad():
        theirs = floats.prior(torch.from_numpy(picture.z).movedim(-1, 0)[None].float())
    np.testing.assert_allclose(ours, theirs[0].movedim(0, -1).numpy(), rtol=0, atol=1e-4)


def outcome(seen, changed, picture, gains, model):
    """The pair of an environment and one that saw something else."""
    arithmetic = pairs.FloatArithmetic(picture.y, gains)
    a, b = (pairs.Encoded(s, arithmetic, model.y_tables) for s in (seen, changed))
    return a.decoded_by(b)


def test_same_bits_differ_in_nothing(seen, picture, gains, model):
    """The round trip itself loses nothing."""
    assert outcome(seen, seen, picture, gains, model) == (0, 0, 0, 0, 0, seen.mean.size)


def test_one_planted_table_fails_the_picture(seen, picture, gains, model):
    """One index of many, off by one."""
    tables = seen.tables.copy()
    at = np.unravel_index(np.argmax(tables), tables.shape)
    tables[at] -= 1
    got = outcome(seen, pairs.Seen(seen.mean, tables), picture, gains, model)
    assert (got.fails, got.drifts, got.tables, got.means) == (1, 0, 1, 0)


def test_one_planted_bit_of_a_mean_drifts(seen, picture, gains, model):
    """The symbols are right, the latents are not."""
    mean = seen.mean.copy()
    at = np.unravel_index(np.argmax(mean), mean.shape)
    mean[at] = np.nextafter(mean[at], np.float32(np.inf))
    got = outcome(seen, pairs.Seen(mean, seen.tables), picture, gains, model)
    assert (got.fails, got.refused, got.drifts, got.tables) == (0, 0, 1, 0)


def test_pairs_know_who_encodes(tmp_path, seen, picture, gains, model):
    """Files of two environments, the second with a planted table: both orders fail, none alone."""
    tables = seen.tables.copy()
    tables[0, 0] += 1
    for name, its in (("a", seen.tables), ("b", tables)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.mean.npy", seen.mean)
        np.save(tmp_path / name / "0.table.npy", its)
    arithmetic = [pairs.FloatArithmetic(picture.y, gains)]
    folders = [tmp_path / "a", tmp_path / "b"]
    total = pairs.compare(folders, arithmetic, model.y_tables, lambda: None)
    assert total[..., report.FIELDS["fails"]].tolist() == [[0, 1], [1, 0]]
    family = report.Family(["a", "b"], total, [{}, {}])
    assert "| 1 a               |    0 |    1 |" in report.matrix(family, "fails")


def test_an_integer_difference_is_an_error():
    """The verdict turns on every count, not on failures alone."""
    for name in ("fails", "refused", "drifts", "tables", "means"):
        total = np.zeros((2, 2, len(report.FIELDS)), np.int64)
        total[..., report.FIELDS["symbols"]] = 7
        families = {
            kind: report.Family(["a", "b"], total.copy(), []) for kind in ("float", "integer")
        }
        found = report.Report(1, QUALITY, "m", families)
        assert found.good()
        families["integer"].total[0, 1, report.FIELDS[name]] = 1
        assert not found.good()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (Environment("x", "numpy_prior", needs=("no_such_flag",)), "lacks no_such_flag"),
        (Environment("x", "numpy_prior", ("--form", "?")), "exit 2: .*invalid choice"),
        (Environment("x", "numpy_prior", ("--form", "einsum"), core="Zen"), "einsum instead"),
    ],
)
def test_what_cannot_run_is_named(environment, reason, tmp_path, given):
    """A processor without the flag, a process that fails, kernels that are not those asked for."""
    with pytest.raises(NotMeasuredError, match=reason):
        environments.measure(environment, given, tmp_path / "x", lambda done: None)


def test_a_folder_without_an_arm_is_named(tmp_path):
    """So that a wrong path is not a silent zero."""
    with pytest.raises(NotMeasuredError, match="holds none of arm64"):
        list(environments.arm_environments(Subject(CHECKPOINT, CHECKPOINT, QUALITY), tmp_path))


@pytest.mark.slow
def test_the_tool_end_to_end(tmp_path):
    """One crop: NumPy against torch, two integer environments; tables, JSON and plot."""
    Image.fromarray(crop()).save(tmp_path / "crop.png")
    only = [f"--only={text}" for text in ("einsum", "channels last", "generic")]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, ROOT / "tools/float_failure.py", tmp_path, *only,
         "--json", tmp_path / "out.json", "--plot", tmp_path / "out.png"],
        capture_output=True, text=True, check=False, cwd=ROOT, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not measured: Arm: no --arm FOLDER" in done.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    counts = found["integer"]["encoder_by_decoder"]
    assert found["integer"]["order"] == ["numba generic, 1 thread", "numba generic, 2 threads"]
    assert not np.array([counts[name] for name in ("fails", "drifts", "tables", "means")]).any()
    assert np.min(counts["symbols"]) == 8 * 7 * 320
    assert len(found["float"]["order"]) == 2
    assert (tmp_path / "out.png").stat().st_size > 1000
