"""Drawings with Pillow: a sheet of crops, and a map of bits beside its picture."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from intnet.look.bit_map import BitMap
from intnet.look.compare import Compared
from intnet.model_file import Y_STRIDE
from intnet.pictures import Pixels

WHITE, BLACK, GREY = "white", "black", "#555"
MARGIN, LINE, TEXT, TITLE = 16, 18, 13, 17  # pixels
CELL = 240  # least width of a column of the sheet, for its captions
SIDE = 256, 1024  # least and most of the longer side of a picture of the map
BAR = 20
# Of matplotlib's inferno, evenly: black, violet, red, yellow.
INFERNO = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51),
    (249, 140, 10), (249, 201, 50), (252, 255, 164),
)  # fmt: skip


def image_of(pixels: Pixels) -> Image.Image:
    """uint8 (h, w, 1 or 3) in RGB."""
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Enlarged to squares, or made smaller smoothly."""
    width, height = (max(1, round(side * factor)) for side in image.size)
    how = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    return image.resize((width, height), how)


def png(image: Image.Image) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def width_of(text: str, size: int = TEXT) -> int:
    """Pixels that a line takes."""
    return math.ceil(ImageFont.load_default(size).getlength(text))


class Paper:
    """A white image to write on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), WHITE)
        self.draw = ImageDraw.Draw(self.image)

    def write(self, x: int, y: int, text: str, size: int = TEXT, colour: str = BLACK) -> None:
        """A line whose top left is there."""
        self.draw.text((x, y), text, colour, ImageFont.load_default(size))


def sheet(compared: list[Compared], notes: list[str]) -> Image.Image:
    """Crops in a row for each picture, captions below them, notes at the end."""
    rows = [row_of(picture) for picture in compared]
    width = max(*(row.width for row in rows), *map(width_of, notes)) + 2 * MARGIN
    paper = Paper(width, sum(row.height for row in rows) + LINE * len(notes) + 2 * MARGIN)
    y = MARGIN
    for row in rows:
        paper.image.paste(row, (MARGIN, y))
        y += row.height
    for i, note in enumerate(notes):
        paper.write(MARGIN, y + i * LINE, note, colour=GREY)
    return paper.image


def row_of(compared: Compared) -> Image.Image:
    """The crops of one picture, below its name."""
    rows, columns = compared.crop.size
    factor = math.ceil(CELL / columns) if columns < CELL else 1
    height, width = rows * factor, columns * factor
    cells = [("original", compared.picture.pixels, [f"crop of {columns}x{rows}"])]
    cells += [(coded.name, coded.pixels, coded.lines) for coded in compared.coded]
    lines = max(len(captions) for *_, captions in cells) + 1
    wide = max(len(cells) * (width + MARGIN) - MARGIN, width_of(compared.name, TITLE))
    paper = Paper(wide, 2 * LINE + height + LINE * lines + MARGIN)
    paper.write(0, 0, compared.name, TITLE)
    for i, (name, pixels, captions) in enumerate(cells):
        x, y = i * (width + MARGIN), 2 * LINE
        paper.image.paste(resized(image_of(pixels[compared.crop.slices]), factor), (x, y))
        paper.write(x, y + height + 4, name, TITLE)
        for line, text in enumerate(captions):
            paper.write(x, y + height + LINE * (line + 1) + 6, text, colour=GREY)
    return paper.image


def heat(values: npt.NDArray[np.float64]) -> Pixels:
    """Colours (..., 3) of values 0..1, dark to bright."""
    anchors, at = np.array(INFERNO), np.linspace(0, 1, len(INFERNO))
    colours = [np.interp(values, at, anchors[:, channel]) for channel in range(3)]
    return np.stack(colours, -1).round().astype(np.uint8)


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to at most that, four to eight or so.

    >>> ticks(3.3)
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    """
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(power * n for n in (1, 2, 5, 10) if most / (power * n) <= 8)
    return [round(step * i, 12) for i in range(int(most / step + 1e-9) + 1)]


def map_of(found: BitMap, title: str) -> Image.Image:
    """The decoded picture, the map at the same size, a bar of its colours in bits per pixel."""
    height, width, _ = found.pixels.shape
    longer = max(height, width)
    factor = min(SIDE[1] / longer, max(1, math.ceil(SIDE[0] / longer)))
    most = float(found.bpp.max())
    cells = heat(found.bpp / most).repeat(Y_STRIDE, 0).repeat(Y_STRIDE, 1)[:height, :width]
    both = [resized(image_of(pixels), factor) for pixels in (found.pixels, cells)]
    wide, high = both[0].size
    needed = max(2 * (wide + MARGIN) + BAR + 5 * MARGIN, width_of(title, TITLE) + 2 * MARGIN)
    paper = Paper(needed, max(high, 128) + 2 * LINE + 2 * MARGIN)
    paper.write(MARGIN, MARGIN // 2, title, TITLE)
    top, x = 2 * LINE, MARGIN
    for image in both:
        paper.image.paste(image, (x, top))
        x += wide + MARGIN
    bar(paper, (x, top), max(high, 128), most)
    return paper.image


def bar(paper: Paper, corner: tuple[int, int], height: int, most: float) -> None:
    """Colours from 0, below, to most, above, with their values beside."""
    x, top = corner
    ramp = heat(np.linspace(1, 0, height))[:, None].repeat(BAR, 1)
    paper.image.paste(Image.fromarray(ramp), corner)
    for value in ticks(most):
        y = top + round((height - 1) * (1 - value / most))
        paper.draw.line((x + BAR, y, x + BAR + 4, y), BLACK)
        paper.write(x + BAR + 8, y - TEXT // 2 - 2, f"{value:g}")
    paper.write(x - 2 * MARGIN, top + height + 4, "bits per pixel", colour=GREY)
