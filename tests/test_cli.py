"""The command line: what it prints, what it leaves behind, how it ends."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conform_parts import VECTORS, edit
from conftest import BIN
from PIL import Image
from typer.testing import CliRunner

from intnet import cli, codec, container, pictures, rate_search, shipped
from intnet.backends.simd import choose
from intnet.errors import BoundError
from intnet.model_file import load

ENCODE_KEYS = {"width", "height", "model", "stream_bytes", "bpp", "seconds", "quality"}
LAZY = ("numba", "torch", "numpy")


@pytest.fixture
def folder(tmp_path, picture, tiny_path, tiny, monkeypatch):
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


def call(*arguments, stdin=b"", code=0):
    """Result of `intnet arguments`; its exit code must be code."""
    result = CliRunner().invoke(cli.app, list(map(str, arguments)), input=stdin)
    assert result.exit_code == code, (result.stderr, result.exception)
    return result


def only_json(result):
    """The one object on stdout."""
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def refused(*arguments, because, stdin=b""):
    """One line on stderr that names the cause, exit code 1, and no new file."""
    before = sorted(Path().iterdir())
    result = call(*arguments, stdin=stdin, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("intnet: error: ")
    assert because in line
    assert sorted(Path().iterdir()) == before
    return line


def test_encode_then_decode(folder, picture, tiny):
    """The decoder gives what `codec` gives, and the report says so."""
    report = only_json(call("encode", "photo.png", "-o", "a.inic", "-q", 50, "--json"))
    stream = Path("a.inic").read_bytes()
    assert report.keys() >= ENCODE_KEYS
    assert stream == codec.encode(picture, tiny, 50)
    assert (report["width"], report["height"], report["quality"]) == (90, 70, 50)
    assert report["stream_bytes"] == len(stream)
    assert report["bpp"] == pytest.approx(8 * len(stream) / 6300, abs=1e-6)
    report = only_json(call("decode", "a.inic", "-o", "a.png", "--json"))
    decoded = pictures.read("a.png")
    assert report.keys() >= ENCODE_KEYS | {"pixel_sha256"}
    assert report["pixel_sha256"] == hashlib.sha256(decoded.tobytes()).hexdigest()
    np.testing.assert_array_equal(decoded, codec.decode(stream, [tiny]).pixels)


def test_backends_give_the_same_files(folder):
    for backend in ("numpy", "numba"):
        call("encode", "photo.png", "-o", f"{backend}.inic", "--backend", backend)
        call("decode", f"{backend}.inic", "-o", f"{backend}.ppm", "--backend", backend)
    for suffix in ("inic", "ppm"):
        assert Path(f"numpy.{suffix}").read_bytes() == Path(f"numba.{suffix}").read_bytes()


def test_grey_stays_grey(folder, picture):
    pictures.write("grey.pgm", picture[..., :1])
    report = only_json(call("encode", "grey.pgm", "-o", "g.inic", "--json"))
    call("decode", "g.inic", "-o", "g.pgm")
    assert report["channels"] == 1
    assert pictures.read("g.pgm").shape == (70, 90, 1)


def test_pipes(folder):
    """stdin to stdout; the summary goes to stderr."""
    stream = call("encode", "-", "-o", "-", stdin=Path("photo.png").read_bytes())
    assert "90x70" in stream.stderr
    decoded = call("decode", "-", "-o", "-", stdin=stream.stdout_bytes)
    assert pictures.from_bytes(decoded.stdout_bytes).shape == (70, 90, 3)


def test_verify_stores_the_pixel_checksum(folder):
    call("encode", "photo.png", "-o", "v.inic", "--verify")
    assert only_json(call("info", "v.inic", "--json"))["pixel_crc"]
    assert only_json(call("decode", "v.inic", "-o", "v.png", "--json"))["verified"]


@pytest.mark.parametrize("verify", [False, True])
def test_max_bytes_is_the_best_that_fits(folder, picture, tiny, verify):
    sizes = [len(codec.encode(picture, tiny, q, verify=verify)) for q in range(64)]
    limit = (sizes[0] + sizes[63]) // 2
    flags = ["--verify"] if verify else []
    call("encode", "photo.png", "-o", "m.inic", "--max-bytes", limit, *flags)
    got = container.unpack(Path("m.inic").read_bytes()).header.quality
    assert sizes[got] <= limit < sizes[got + 1]
    refused("encode", "photo.png", "-o", "n.inic", "--max-bytes", 40, because="max_bytes: 40")


def test_target_bpp_is_the_nearest(picture, tiny):
    sizes = [len(codec.encode(picture, tiny, q)) for q in range(64)]
    between = (sizes[20] + sizes[40]) / 2
    for wanted in (1, sizes[0], sizes[20] + 1, between, sizes[63] - 1, 10**6):
        stream = rate_search.encode_to_bpp(picture, tiny, 8 * wanted / 6300)
        assert abs(len(stream) - wanted) == min(abs(size - wanted) for size in sizes)


def test_info_of_both_kinds(folder, tiny, tiny_path):
    stream = only_json(call("info", "photo.inic", "--json"))
    assert (stream["kind"], stream["model"], stream["quality"]) == ("stream", "photo", 40)
    assert stream["z_bytes"] + stream["y_bytes"] + 38 == stream["stream_bytes"]
    model = only_json(call("info", tiny_path, "--json"))
    assert (model["kind"], model["sha256"]) == ("model", tiny.sha256)
    assert {p["name"] for p in model["programs"]} == set(tiny.programs)
    assert model["programs"][0]["ops"]["conv"] == 12
    assert model["metadata"]["recipe"] == "random weights"
    assert "kMAC/pixel" in call("info", tiny_path).stdout


def test_tiles(folder):
    """`--tile` divides the picture, `info` says so, and the samples stay."""
    whole = only_json(call("decode", "photo.inic", "-o", "whole.png", "--json"))
    call("encode", "photo.png", "-o", "tiles.inic", "-q", "40", "--tile", "64")
    info = only_json(call("info", "tiles.inic", "--json"))
    rows, columns = (-(-whole[side] // 64) for side in ("height", "width"))
    assert rows * columns > 1
    assert info["tiles"] == {"rows": rows, "columns": columns, "side": 64}
    assert f"tiles         {rows} x {columns} of 64 pixels" in call("info", "tiles.inic").stdout
    assert "tiles         one" in call("info", "photo.inic").stdout
    call("decode", "tiles.inic", "-o", "tiles.png")
    assert Path("tiles.png").read_bytes() == Path("whole.png").read_bytes()
    refused = call("encode", "photo.png", "-o", "x.inic", "--tile", "65", code=2)
    assert "--tile 65: must be a multiple of 64" in refused.stderr


def test_region_and_salvage(folder):
    """A part is a part of the whole; a damaged stream gives the rest, names tiles, exits with 1."""
    call("encode", "photo.png", "-o", "t.inic", "-q", "40", "--tile", "64")
    call("decode", "t.inic", "-o", "whole.png")
    report = only_json(call("decode", "t.inic", "-o", "p.png", "--region", "70,10,9,20", "--json"))
    assert report["region"] == [70, 10, 9, 20]
    with Image.open("whole.png") as whole, Image.open("p.png") as part:
        assert part.tobytes() == whole.crop((70, 10, 79, 30)).tobytes()
    data = bytearray(Path("t.inic").read_bytes())
    data[-1] ^= 1
    Path("t.inic").write_bytes(data)
    last = only_json(call("info", "photo.inic", "--json"))
    tiles = -(-last["width"] // 64) * -(-last["height"] // 64)
    assert f"tile {tiles - 1} " in call("decode", "t.inic", "-o", "x.png", code=1).stderr
    saved = call("decode", "t.inic", "-o", "s.png", "--salvage", "--json", code=1)
    assert list(only_json(saved)["lost"]) == [f"tile {tiles - 1}"]
    with Image.open("whole.png") as whole, Image.open("s.png") as part:
        assert part.crop((0, 0, 30, 30)).tobytes() == whole.crop((0, 0, 30, 30)).tobytes()
    for bad in ("1,2,3", "a,0,1,1", "-1,0,1,1"):
        assert (
            "must be X,Y,W,H"
            in call("decode", "t.inic", "-o", "x.png", f"--region={bad}", code=2).stderr
        )
    outside = call("decode", "t.inic", "-o", "x.png", "--region", "0,0,1,99999", code=1)
    assert "must be within 0 to" in outside.stderr
    assert not Path("x.png").exists()


def test_alpha_profile_and_exif(folder):
    """They come through; --strip leaves out what is no sample."""
    exif = Image.Exif()
    exif[0x10F] = "camera"
    with Image.open("photo.png") as photo:
        photo.putalpha(photo.convert("L"))
        photo.save("alpha.png", icc_profile=b"profile", exif=exif)
    encoded = only_json(call("encode", "alpha.png", "-o", "a.inic", "--json"))
    info = only_json(call("info", "a.inic", "--json"))
    assert info["channels"] == 4
    assert info["chunks"].keys() == {"ALPH", "iccp", "exif"}
    assert (encoded["channels"], encoded["chunks"]) == (4, info["chunks"])
    assert "iccp 7 bytes" in call("info", "a.inic").stdout
    decoded = only_json(call("decode", "a.inic", "-o", "back.png", "--json"))
    assert decoded["chunks"] == info["chunks"]
    with Image.open("alpha.png") as before, Image.open("back.png") as after:
        assert before.getchannel("A").tobytes() == after.getchannel("A").tobytes()
        assert after.info["icc_profile"] == b"profile"
        assert after.getexif()[0x10F] == "camera"
    call("encode", "alpha.png", "-o", "s.inic", "--strip", "--max-bytes", "9999")
    stripped = only_json(call("info", "s.inic", "--json"))
    assert stripped["chunks"].keys() == {"ALPH"}
    assert stripped["stream_bytes"] <= 9999


def test_a_profile_too_large_needs_strip(folder, monkeypatch):
    with Image.open("photo.png") as photo:
        photo.save("large.tif", icc_profile=bytes(2**22 + 1))
    refused("encode", "large.tif", "-o", "x.inic", because="ICC profile of 4194305 bytes, at most")
    report = only_json(call("encode", "large.tif", "-o", "x.inic", "--strip", "--json"))
    assert report["chunks"] == {}


def test_ppm_is_written_in_rows(folder, picture, tiny):
    """As PNG holds it; alpha, which it cannot, is refused before the work."""
    reports = [
        only_json(call("decode", "photo.inic", "-o", name, "--json")) for name in ("x.png", "x.ppm")
    ]
    assert reports[0]["pixel_sha256"] == reports[1]["pixel_sha256"]
    np.testing.assert_array_equal(pictures.read("x.ppm"), pictures.read("x.png"))
    call("decode", "photo.inic", "-o", "part.ppm", "--region", "1,2,30,40")
    np.testing.assert_array_equal(pictures.read("part.ppm"), pictures.read("x.png")[2:42, 1:31])
    Path("alpha.inic").write_bytes(codec.encode(np.dstack([picture, picture[..., :1]]), tiny))
    refused("decode", "alpha.inic", "-o", "y.ppm", because="has alpha, which PPM cannot hold")
    header, tiles = container.unpack(Path("photo.inic").read_bytes())
    wrong = container.Stream(header._replace(pixel_crc=header.pixel_crc ^ 1), tiles)
    Path("wrong.inic").write_bytes(container.pack(wrong))
    refused("decode", "wrong.inic", "-o", "y.ppm", because="decoded samples have CRC")


@pytest.mark.parametrize("setting", ["INTNET_SIMD", "INTNET_THREADS"])
def test_wrong_settings(tmp_path, picture, setting, script, tiny_path):
    """One line that names the variable and what is allowed."""
    pictures.write(tmp_path / "photo.png", picture)
    line = ("encode", "photo.png", "-o", "x.inic", "--model", tiny_path)
    done = script(*line, cwd=tmp_path, env={**os.environ, setting: "nonsense"})
    (error,) = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert error.startswith(f"intnet: error: {setting} is 'nonsense', must be ")
    assert not (tmp_path / "x.inic").exists()


def test_max_pixels_of_encode(folder):
    refused("encode", "photo.png", "-o", "x.inic", "--max-pixels", 6299, because="90x70, at most")
    call("encode", "photo.png", "-o", "x.inic", "--max-pixels", 6300)
    call("encode", "photo.png", "-o", "x.inic", "--max-pixels", 2**30 + 1, code=2)


def test_kmac_counts_by_hand(folder, tiny, tiny_path):
    """hyper_analysis: 3x3 at 1/16, then 5x5 stride 2 twice, 16 channels all."""
    programs = only_json(call("info", tiny_path, "--json"))["programs"]
    (row,) = [p for p in programs if p["name"] == "hyper_analysis"]
    macs = 256 * (9 / 16**2 + 25 / 32**2 + 25 / 64**2)
    assert row["kmac_per_pixel"] == pytest.approx(macs / 1000, abs=1e-3)


def test_models_lists_ids(folder, tiny):
    (row,) = only_json(call("models", "--json"))["models"]
    assert (row["name"], row["default"], row["sha256"]) == ("photo", True, tiny.sha256)
    assert tiny.model_id.hex() in call("models").stdout


def test_certify_names_every_bound(folder, tiny_path):
    report = only_json(call("certify", tiny_path, "--json"))
    assert report["ok"]
    assert all(row["bound"] < row["limit"] for row in report["bounds"])
    assert {"program", "op", "channel", "headroom_bits"} <= report["bounds"][0].keys()
    assert "proved" in call("certify", "photo").stdout


def test_altered_model_is_refused(folder, tiny_path):
    """One changed weight is a hash error, in every verb that loads the file."""
    data = bytearray(tiny_path.read_bytes())
    data[-1000] ^= 1
    Path("bad.inm").write_bytes(data)
    refused("certify", "bad.inm", because="damaged or altered")
    refused("encode", "photo.png", "-o", "x.inic", "--model", "bad.inm", because="damaged")


def test_failed_proof_ends_with_1(folder, monkeypatch):
    def fails(_: object) -> None:
        raise BoundError("program 'prior', op 'a', channel 3: accumulator may reach 2147483648")

    monkeypatch.setattr("intnet.model_file.certify", fails)
    refused("certify", "photo", because="channel 3")


def test_conform_counts_and_names_failures(folder):
    """One flipped expectation of two; zero vectors are a failure too."""
    shutil.copytree(VECTORS, "v1")

    def flip(document):
        vector = next(v for v in document["vectors"] if v["id"] == "op/crop")
        vector["expected"]["outputs"]["out"]["values"][0] += 1

    edit(Path("v1/op.json"), flip)
    line = ("conform", "run", "--vectors", "v1", "--only")
    result = call(*line, "op/*crop*", code=1)
    assert "FAILED op/crop [op.crop]: outputs.out.values[0]: " in result.stdout
    assert result.stdout.endswith(" passed, 1 failed\n")
    report = only_json(call(*line, "op/*crop*", "--json", code=1))
    assert (report["failed"], report["passed"] + 1) == (1, len(report["cases"]))
    assert call(*line, "op/pad*").stdout.endswith(" passed, 0 failed\n")
    call(*line, "nothing", code=1)
    refused("conform", "run", "--vectors", "no/such", because="no/such")


NOT_PICTURES = {
    "not a picture": b"hello",
    "empty file": b"",
    "zero-size picture": b"P6 0 5 255\n",
    "truncated": None,
}


@pytest.mark.parametrize("cause", NOT_PICTURES)
def test_bad_pictures(folder, cause):
    whole = Path("photo.png").read_bytes()
    Path("bad.png").write_bytes(whole[:-30] if cause == "truncated" else NOT_PICTURES[cause])
    line = refused("encode", "bad.png", "-o", "x.inic", because=cause)
    assert "bad.png" in line
    refused("encode", "-", "-o", "-", because="stdin", stdin=NOT_PICTURES[cause] or whole[:-30])


def test_bad_streams(folder):
    """Truncated anywhere, one bit flipped anywhere: an error line, never a picture."""
    whole = Path("photo.inic").read_bytes()
    for at in range(0, len(whole), 37):
        Path("bad.inic").write_bytes(whole[:at])
        refused("decode", "bad.inic", "-o", "x.png", because="stream")
        Path("bad.inic").write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        refused("decode", "bad.inic", "-o", "x.png", because="stream")
    Path("bad.inic").write_bytes(b"")
    refused("info", "bad.inic", because="empty file")
    refused("info", "photo.png", because="neither an intnet stream nor an intnet model")
    refused("decode", "photo.inic", "-o", "x.png", "--max-pixels", 6299, because="limit 6299")


def test_wrong_model(folder, other_path, tiny):
    """The error names the wanted id and the ids at hand."""
    call("encode", "photo.png", "-o", "other.inic", "--model", other_path)
    wanted = load(other_path).model_id.hex()
    line = refused("decode", "other.inic", "-o", "x.png", because=wanted)
    assert tiny.model_id.hex() in line
    line = refused("decode", "photo.inic", "-o", "x.png", "--model", other_path, because=wanted)
    assert tiny.model_id.hex() in line
    call("decode", "other.inic", "-o", "x.png", "--model", other_path)


def test_unwritable_outputs(folder):
    """Missing folder, a folder, a file as folder, a full device, a read-only file system."""
    Path("d.png").mkdir()
    for verb, source in (("encode", "photo.png"), ("decode", "photo.inic")):
        refused(verb, source, "-o", "no/such/x.png", because="no/such")
        refused(verb, source, "-o", "d.png", because="Is a directory")
        refused(verb, source, "-o", "photo.png/x.png", because="photo.png")
        refused(verb, source, "-o", "/proc/x.png", because="/proc")
    refused("encode", "photo.png", "-o", "/dev/full", because="No space left")
    if os.getuid():  # root may write anyway
        Path("r.png").touch(mode=0o444)
        refused("decode", "photo.inic", "-o", "r.png", because="Permission denied")


def test_unwritable_output_is_refused_before_the_work(folder, monkeypatch):
    monkeypatch.setattr(codec, "encode", lambda *_, **__: pytest.fail("worked in vain"))
    refused("encode", "photo.png", "-o", "no/such/x.inic", because="no/such")


def test_missing_inputs(folder):
    refused("encode", "gone.png", "-o", "x.inic", because="gone.png: No such file")
    refused("decode", "gone.inic", "-o", "x.png", because="gone.inic: No such file")
    refused("info", ".", because="Is a directory")
    refused("encode", "photo.png", "-o", "x.inic", "--model", "gone", because="'gone'")
    refused("certify", "gone.inm", because="gone.inm")


def test_json_reports_errors_too(folder):
    result = call("decode", "gone.inic", "-o", "x.png", "--json", code=1)
    assert "gone.inic" in only_json(result)["error"]


@pytest.mark.parametrize("arguments", [
    ("encode", "photo.png"),
    ("encode", "photo.png", "-o", "x", "-q", 64),
    ("encode", "photo.png", "-o", "x", "-q", -1),
    ("encode", "photo.png", "-o", "x", "-q", 5, "--max-bytes", 900),
    ("encode", "photo.png", "-o", "x", "--target-bpp", 1, "--max-bytes", 900),
    ("encode", "photo.png", "-o", "x", "--target-bpp", "nan"),
    ("encode", "photo.png", "-o", "-", "--json"),
    ("encode", "photo.png", "-o", "x", "--backend", "abacus"),
    ("decode", "photo.inic", "-o", "x.jpg"),
    ("decode", "photo.inic", "-o", "x.png", "--max-pixels", 0),
    ("transmogrify",),
])  # fmt: skip
def test_wrong_usage_ends_with_2(folder, arguments):
    call(*arguments, code=2)
    assert not Path("x").exists()


def test_interrupt_leaves_nothing(folder, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(codec, "encode", interrupted)
    call("encode", "photo.png", "-o", "x.inic", code=130)
    monkeypatch.setattr(os, "fsync", interrupted)
    call("decode", "photo.inic", "-o", "x.png", code=130)
    assert sorted(p.name for p in folder.iterdir()) == ["photo.inic", "photo.png"]


def test_ctrl_c_of_a_real_process(tmp_path, tiny_path):
    """A signal while it waits for stdin: exit code 130, no traceback."""
    command = [BIN / "intnet", "encode", "-", "-o", tmp_path / "x.inic", "--model", tiny_path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe) as process:
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines() == ["intnet: interrupted"]
    assert not list(tmp_path.iterdir())


def test_a_real_pipeline(tmp_path, tiny_path, picture):
    """Bytes through the console script, in the shell."""
    pictures.write(tmp_path / "photo.png", picture)
    line = (
        f"'{BIN}/intnet' encode - -o - --model '{tiny_path}' < photo.png"
        f" | '{BIN}/intnet' decode - -o out.ppm --model '{tiny_path}' --json"
    )
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["width"] == 90
    assert pictures.read(tmp_path / "out.ppm").shape == picture.shape


def loaded_by(line, *, and_then=""):
    """Modules that a process has after `intnet line`; and_then: what else it checks at its end."""
    code = (
        "import gc, sys\nfrom intnet import cli\ntry:\n cli.main()\nexcept SystemExit as e:\n"
        f" assert not e.code\n{and_then}\nprint(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def verbs_in(modules):
    """Files of verbs among modules."""
    names = [name for name in modules if name.startswith("intnet.commands.")]
    return {name.split(".")[2] for name in names} - {"common"}


@pytest.mark.parametrize(
    ("line", "verbs"),
    [
        ("--version", set()),
        ("encode --help", {"encode"}),
        ("decode --help", {"decode", "encode"}),  # they share their report
        ("bench codec --help", {"bench"}),
        ("info photo.inic", {"info"}),
        ("models", {"info"}),
    ],
)
def test_light_verbs_load_nothing_heavy(line, verbs, folder):
    """Help, info and models answer at once: no numba, no torch, not even NumPy, no other verb."""
    modules = loaded_by(line)
    assert not modules & {*LAZY, "rich"}
    assert verbs_in(modules) == verbs


def test_help_of_all_verbs_loads_nothing_heavy():
    assert not loaded_by("--help") & {*LAZY, "rich"}


@pytest.mark.skipif(choose.available() == ["generic"], reason="no SIMD: only plain loops here")
def test_decode_loads_what_it_needs(tmp_path, picture):
    """Not the plain loops, no reporting, no other verb."""
    stream = tmp_path / "a.inic"
    stream.write_bytes(codec.encode(picture, shipped.load()))
    line = f"decode {stream} -o {tmp_path / 'a.png'}"
    modules = loaded_by(line)
    assert "numba" in modules
    assert not modules & {"torch", "rich", "intnet.backends.numba_kernels", "intnet.convert"}
    assert verbs_in(modules) == {"decode", "encode"}


def test_the_end_of_a_process_is_short():
    """What a verb leaves is not searched for garbage; in a program that imports intnet it is."""
    loaded_by("models", and_then="assert gc.get_freeze_count() > 10_000")
    code = (
        "import gc; from intnet import cli, codec; print(gc.get_threshold(), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{gc.get_threshold()} 0\n"


VERBS = ("encode", "decode", "info", "models", "train", "convert", "certify", "selftest", "warmup")


@pytest.mark.parametrize("verb", [*VERBS, *("conform run", "conform make", "conform compare")])
def test_help_teaches_with_an_example(verb):
    result = call(*verb.split(), "--help")
    assert f"\n  intnet {verb}" in result.stdout
    assert "--json" in result.stdout


def test_train_without_torch_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [m for m in sys.modules if m.startswith("intnet.training")]:
        monkeypatch.delitem(sys.modules, name)
    refused("train", "corpus", "--out", "x", because="pip install 'intnet[train]'")


def test_train_passes_arguments_on(folder):
    """The trainer's own parser speaks."""
    assert "--minutes" in call("train", "--", "--help").stdout
    call("train", "corpus", "--out", "x.safetensors", "--no-such-option", code=2)


def test_version():
    assert call("--version").stdout.startswith("intnet 0.")
