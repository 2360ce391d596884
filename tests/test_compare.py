"""`intnet compare`: the rates are what they say, the pictures are what codecs give back."""

from __future__ import annotations

import base64
import doctest
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from intnet import cli, pictures, rate_search, selftest
from intnet.bench import pillow_peers
from intnet.distortion import ms_ssim, psnr
from intnet.limits import DEFAULT
from intnet.look import coders, compare, draw, page
from intnet.windows import Area

SAMPLE = pictures.read(selftest.sample_path())[100:300, 150:390]
ALL = list(coders.NAMES)
BPP = 0.6
SOURCE = re.compile(r'src="data:image/png;base64,([^"]*)"')


def call(*arguments, code=0):
    result = CliRunner().invoke(cli.app, ["compare", *map(str, arguments)])
    assert result.exit_code == code, (result.stderr, result.exception)
    return result


def refused(*arguments, because, code=1):
    assert because in " ".join(call(*arguments, code=code).stderr.split())


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A small picture under a name that HTML must escape."""
    monkeypatch.chdir(tmp_path)
    name = 'a<b>&"c.png'
    pictures.write(name, SAMPLE)
    return name


@pytest.fixture(scope="module")
def compared(default_model):
    """The sample by whichever codecs are there."""
    there, _ = coders.at_hand(ALL)
    coded = [compare.coded(key, SAMPLE, BPP, default_model, DEFAULT) for key in there]
    crop = Area((20, 116), (30, 158))
    return compare.Compared("sample", pictures.Picture(SAMPLE), crop, coded)


def test_multi_scale_similarity():
    """As pytorch_msssim 1.0.0 has it, in float32, for even sides: see the last digits."""
    y, x = np.mgrid[:192, :224]
    a, b = ((x * 5 + y * 3 + d) % 256 for d in (0, x * y % 17))
    a, b = (np.stack([t, t[::-1], t], 2).astype(np.uint8) for t in (a, b))
    assert ms_ssim(a[..., :1], b[..., :1]) == pytest.approx(0.9234727435, abs=1e-6)
    assert ms_ssim(a, 255 - a) == 0
    assert ms_ssim(a, a) == ms_ssim(a[:165, :171], a[:165, :171]) == 1
    channels = [ms_ssim(a[..., c : c + 1], b[..., c : c + 1]) for c in range(3)]
    assert ms_ssim(a, b) == pytest.approx(np.mean(channels))
    assert ms_ssim(a[:160], b[:160]) is None


@pytest.mark.parametrize("qualities", [range(64), range(1, 8)])
def test_searches_find_what_looking_at_all_finds(qualities):
    sizes = np.cumsum(np.random.default_rng(5).integers(1, 9, 70)).tolist()
    for most in np.arange(0, 400, 2.5):
        within = [q for q in qualities if sizes[q] <= most]
        last = rate_search.last_within(sizes.__getitem__, qualities, most)
        assert last == max(within, default=qualities.start - 1)
        found = rate_search.nearest(sizes.__getitem__, qualities, most)
        assert abs(sizes[found] - most) == min(abs(sizes[q] - most) for q in qualities)


@pytest.mark.parametrize("module", [rate_search, draw], ids=lambda m: m.__name__)
def test_examples(module):
    assert doctest.testmod(module).attempted
    assert doctest.testmod(module).failed == 0


def test_every_codec_has_its_best_quality_within_the_target(compared):
    """One more would exceed it; numbers are those of the samples shown."""
    assert {"intnet", "jpeg"} <= {coded.codec for coded in compared.coded}
    for coded in compared.coded:
        assert coded.bpp == 8 * coded.bytes / 48000 <= BPP and not coded.above
        assert coded.psnr == psnr(SAMPLE, coded.pixels) > 20
        assert coded.ms_ssim == ms_ssim(SAMPLE, coded.pixels)
        if coded.codec != "intnet":
            save = pillow_peers.saver(coded.name, SAMPLE, 1)
            sizes = [len(save(q)) for q in (coded.quality, coded.quality + 1)]
            assert sizes[0] == coded.bytes
            assert sizes[1] > BPP * 6000
            assert np.array_equal(pillow_peers.load(save(coded.quality)), coded.pixels)


def test_ours_is_the_stream_of_max_bytes(compared, default_model):
    ours = compared.coded[0]
    stream = rate_search.encode_to_size(SAMPLE, default_model, int(BPP * 6000))
    assert (len(stream), stream[17]) == (ours.bytes, ours.quality)


def test_the_lowest_quality_may_exceed_the_target(tiny):
    for key in ("intnet", "jpeg"):
        coded = compare.coded(key, SAMPLE, 0.01, tiny, DEFAULT)
        assert coded.above and coded.bpp > 0.01 and "above the target" in coded.lines[0]
    assert coded.quality == 1 or len(pillow_peers.saver("JPEG", SAMPLE, 1)(0)) == coded.bytes


def test_grey_pictures_stay_grey(tiny):
    grey = SAMPLE[..., :1]
    for key in coders.at_hand(ALL)[0]:
        assert compare.coded(key, grey, 2.0, tiny, DEFAULT).pixels.shape == grey.shape


def test_the_most_detailed_part_is_found():
    x = np.full((300, 500, 3), 128, np.uint8)
    x[96:288, 224:480] = np.random.default_rng(1).integers(0, 256, (192, 256, 3))
    assert compare.busiest(x) == Area((96, 288), (224, 480))
    assert compare.busiest(x[:50, :70]) == Area((0, 50), (0, 70))


def test_the_page_holds_its_pictures_and_loads_nothing(compared):
    """Each whole, in the viewer, then each crop; in the order of the captions."""
    text = page.page([compared], BPP, ["a <note>"])
    whole = [pixels for _, pixels in page.of_all(compared)]
    expected = whole + [pixels[compared.crop.slices] for pixels in whole]
    found = [np.asarray(Image.open(io.BytesIO(base64.b64decode(s)))) for s in SOURCE.findall(text)]
    assert len(found) == len(expected) == text.count("<img ")
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not re.search(r"https?:|url\(|@import|<link|fetch|\$\w", SOURCE.sub("", text))
    assert "default-src 'none'" in text
    assert "a &lt;note&gt;" in text
    for coded in compared.coded:
        assert all(text.count(line) >= 2 for line in coded.lines)


def test_of_a_large_picture_the_page_holds_a_part(compared):
    large = pictures.Picture(np.zeros((2100, 3000, 1), np.uint8))
    at = compared._replace(picture=large, crop=Area((0, 10), (2500, 2700)))
    assert page.view_of(at) == Area((0, 2048), (952, 3000))
    at = at._replace(crop=Area((700, 710), (1400, 1600)))
    assert page.view_of(at) == Area((0, 2048), (476, 2524))
    assert page.view_of(compared) == Area((0, 200), (0, 240))


def test_the_sheet_shows_the_crops(compared):
    """Side by side, enlarged to whole squares where narrow."""
    image = np.asarray(draw.sheet([compared, compared], ["a note"]))
    (rows, columns), top, left = compared.crop.size, draw.MARGIN + 2 * draw.LINE, draw.MARGIN
    for _, pixels in page.of_all(compared):
        shown = image[top : top + 2 * rows : 2, left : left + 2 * columns : 2]
        assert np.array_equal(shown, pixels[compared.crop.slices])
        left += 2 * columns + draw.MARGIN
    assert left == image.shape[1]
    below = image[top + 2 * rows : top + 2 * rows + 5 * draw.LINE]
    assert (below < 128).any(axis=(0, 2)).nonzero()[0].max() > left - 2 * columns  # captions


def test_verb(photo, monkeypatch):
    """Page, sheet and JSON; a codec that is not installed is named in each."""
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    crop = ("--crop", "10,20,64,48", "--bpp", BPP)
    result = call(photo, photo, *crop, "--json", "-o", "out.html")
    document = json.loads(result.stdout)
    (first, second) = document["pictures"]
    assert first == second and document["bpp"] == BPP
    assert first["crop"] == [10, 20, 64, 48] and first["picture"] == photo
    assert (first["width"], first["height"]) == (240, 200)
    codecs = [coded["codec"] for coded in first["codecs"]]
    assert codecs + list(document["not_at_hand"]) == ALL
    assert all(coded["bits"] == 8 * coded["bytes"] for coded in first["codecs"])
    assert document["not_at_hand"] == {"jxl": "not installed (pip install 'intnet[look]')"}
    text = Path("out.html").read_text(encoding="utf-8")
    assert "JPEG XL: not installed (pip install" in text
    assert "a&lt;b&gt;&amp;&quot;c.png" in text and "a<b>" not in text
    assert text.count("<section>") == 2
    shown = call(photo, "--codecs", "jpeg,jxl", "-o", "out.png")
    assert "not at hand: JPEG XL" in shown.stderr and "psnr" in shown.stdout
    with Image.open("out.png") as sheet:
        assert sheet.format == "PNG"


def test_stdout_gets_a_page(photo):
    text = call(photo, "--codecs", "jpeg", "-o", "-").stdout
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")


def test_what_is_refused(photo, tmp_path, monkeypatch):
    """In a line, and nothing is written."""
    refused(photo, because="needs -o", code=2)
    refused(photo, "-o", "x.gif", because="must be one of .html, .png", code=2)
    refused(photo, "-o", "-", "--json", because="both want stdout", code=2)
    refused(photo, "--json", "--codecs", "jpeg,bpg", because="'bpg', must be of intnet", code=2)
    refused(photo, "--json", "--bpp", "nan", because="--bpp nan: must be above 0", code=2)
    refused(photo, "--json", "--crop", "1,2,3", because="--crop 1,2,3: must be X,Y,W,H", code=2)
    refused(photo, "-o", "none/x.html", because="No such folder")
    cut = ("--codecs", "jpeg", "-o", "x.html")
    refused(photo, "--crop", "0,9,9,192", *cut, because="--crop 0,9,9,192: must be within a<b>")
    refused(photo, "none.png", *cut, because="none.png: No such file")
    pictures.write("alpha.png", np.zeros((8, 8, 4), np.uint8))
    refused("alpha.png", *cut, because="alpha.png: has alpha")
    refused(photo, *cut, "--max-pixels", "9", because="at most 9 pixels")
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    refused(photo, "--codecs", "jxl", "-o", "x.html", because="none is at hand; JPEG XL: not")
    assert sorted(path.name for path in tmp_path.iterdir()) == [photo, "alpha.png"]
