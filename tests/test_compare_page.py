"""The page of `intnet compare` in a browser: what the slider divides is what is seen."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from intnet import pictures, selftest
from intnet.limits import DEFAULT
from intnet.look import compare, page

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
)  # fmt: skip
SAMPLE = pictures.read(selftest.sample_path())[100:260, 150:350]


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("NO BROWSER: chromium is not installed")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="NO BROWSER: pip install 'intnet[browser]'"
    )
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def compared(default_model):
    picture = pictures.Picture(SAMPLE)
    coded = [compare.coded(key, SAMPLE, 0.3, default_model, DEFAULT) for key in ("intnet", "jpeg")]
    return compare.Compared("sample", picture, compare.busiest(SAMPLE), coded)


@pytest.fixture(scope="module")
def address(compared, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "compare.html"
    path.write_text(page.page([compared], 0.3, []), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def viewer(browser, address):
    """The page at the size of a screen; whatever goes wrong on it fails the test."""
    opened = browser.new_page(viewport={"width": 900, "height": 900}, has_touch=True)
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("request", lambda request: wrong.append(request.url[:60]))
    opened.goto(address)
    yield opened.locator(".viewer")
    assert wrong == [address] + [url for url in wrong if str(url).startswith("data:image/png;")]
    opened.close()


def check(viewer, left, right, column):
    """What is seen is the left picture up to a column, and the right one from there on.

    Not where the divider is. Returns the samples on the screen.
    """
    shot = viewer.locator(".frame").screenshot()
    height, width, _ = left.shape  # a shot has a row more where the frame begins between two
    seen = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))[:height, :width]
    before, beyond = slice(0, max(column - 3, 0)), slice(column + 3, width)
    assert np.array_equal(seen[:, before], left[:, before])
    assert np.array_equal(seen[:, beyond], right[:, beyond])
    return seen


def test_the_slider_divides_original_and_decoded(viewer, compared):
    """By keyboard, by mouse and by finger; the two are unlike, so what is seen changes."""
    ours = compared.coded[0].pixels
    assert not np.array_equal(SAMPLE, ours)
    slider = viewer.get_by_role("slider")
    middle = check(viewer, SAMPLE, ours, 100)
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
    assert not np.array_equal(check(viewer, SAMPLE, ours, 120), middle)
    slider.press("Home")
    check(viewer, SAMPLE, ours, 0)
    assert slider.get_attribute("aria-valuetext") == "0 % original, the rest intnet"
    slider.press("End")
    check(viewer, SAMPLE, ours, 200)
    box = viewer.locator(".frame").bounding_box()
    mouse, touch = viewer.page.mouse, viewer.page.touchscreen
    mouse.move(box["x"] + 190, box["y"] + 50)
    mouse.down()
    mouse.move(box["x"] + 60, box["y"] + 70)
    mouse.up()
    check(viewer, SAMPLE, ours, 60)
    mouse.move(box["x"] + 160, box["y"] + 70)
    check(viewer, SAMPLE, ours, 60)  # the button is up
    touch.tap(box["x"] + 140, box["y"] + 30)
    check(viewer, SAMPLE, ours, 140)


def test_any_two_can_be_chosen(viewer, compared):
    ours, jpeg = (coded.pixels for coded in compared.coded)
    viewer.get_by_role("combobox", name="Left").select_option("JPEG")
    check(viewer, jpeg, ours, 100)
    assert "Left: JPEG, quality" in viewer.locator(".on-left").inner_text()
    viewer.get_by_role("combobox", name="Right").select_option("JPEG")
    check(viewer, jpeg, jpeg, 100)
    viewer.get_by_role("combobox", name="Right").select_option("original")
    check(viewer, jpeg, SAMPLE, 100)


def test_zoom_and_pan(viewer, compared):
    """The divider stays where it is on the screen, whatever is scrolled below it."""
    viewer.get_by_role("combobox", name="Zoom").select_option("8")
    frame = viewer.locator(".frame")
    width, height = frame.evaluate(
        "f => { f.scrollTo(96, 64); return [f.clientWidth, f.clientHeight] }"
    )
    viewer.page.wait_for_timeout(100)
    assert width > 700
    both = (SAMPLE, compared.coded[0].pixels)
    check(
        viewer, *(x.repeat(8, 0).repeat(8, 1)[64:, 96:][:height, :width] for x in both), width // 2
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser, address, scheme):
    opened = browser.new_page(color_scheme=scheme)
    opened.goto(address)
    read = "s => getComputedStyle(document.body)[s].match(/\\d+/g).slice(0, 3).map(Number)"
    text, paper = (np.mean(opened.evaluate(read, s)) for s in ("color", "backgroundColor"))
    assert abs(text - paper) > 150
    assert (paper > 128) == (scheme == "light")
    opened.close()


def test_a_telephone_needs_no_scrolling_sideways(browser, compared, tmp_path):
    """Nor where picture and crops are wider than it."""
    large = SAMPLE.repeat(3, 1)
    coded = [found._replace(pixels=large) for found in compared.coded]
    wide = compared._replace(picture=pictures.Picture(large), coded=coded)
    path = tmp_path / "wide.html"
    path.write_text(page.page([wide], 0.3, []), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 360, "height": 640})
    opened.goto(path.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    opened.close()
