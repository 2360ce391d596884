"""One HTML file that needs nothing else: pictures, a slider between any two, crops, numbers."""

from __future__ import annotations

import base64
from html import escape
from importlib import resources
from string import Template

from intnet import files
from intnet.look.compare import Coded, Compared
from intnet.pictures import Picture, Pixels, to_png
from intnet.windows import Area

VIEW = 2048  # pixels a side, of larger pictures the page holds that much around the crop
ZOOMS = ("fit", "1", "2", "4", "8")
CROP_WIDTH = 384  # pixels on the screen, at least
OVER, HIDDEN = 'class="over" ', "hidden "


def page(compared: list[Compared], bpp: float, notes: list[str]) -> str:
    """The text of the file."""
    return Template(part("page.html")).substitute(
        bpp=f"{bpp:g}",
        css=part("page.css"),
        js=part("page.js"),
        notes="\n".join(f"<p>{escape(note)}</p>" for note in notes),
        pictures="\n".join(section(picture) for picture in compared),
    )


def part(name: str) -> str:
    """A file beside this one."""
    return (resources.files("intnet.look") / name).read_text(encoding="utf-8")


def section(compared: Compared) -> str:
    """A picture: its viewer, then its crops."""
    height, width, _ = compared.picture.pixels.shape
    view = view_of(compared)
    (top, _), (left, _) = compared.crop
    rows, columns = compared.crop.size
    about = f"{width}x{height} pixels; the crops are {columns}x{rows} at {left},{top}"
    if view.size != (height, width):
        about += f"; of the picture, {view.size[1]}x{view.size[0]} at {view[1][0]},{view[0][0]}"
    return "\n".join([
        "<section>", f"<h2>{escape(compared.name)}</h2>", f"<p>{about}.</p>",
        viewer(compared, view), "<h3>Crops</h3>", f'<div class="crops">{crops(compared)}</div>',
        "</section>",
    ])  # fmt: skip


def view_of(compared: Compared) -> Area:
    """What the viewer shows: the picture, or of a large one what is around the crop."""
    spans = []
    for (begin, end), length in zip(compared.crop, compared.picture.pixels.shape[:2], strict=True):
        side = min(VIEW, length)
        first = min(max((begin + end - side) // 2, 0), length - side)
        spans.append((first, first + side))
    return Area(*spans)


def viewer(compared: Compared, view: Area) -> str:
    """Two pictures over one another, and what chooses and divides them."""
    captions = {"original": "original"} | {c.name: caption(c) for c in compared.coded}
    names, second = list(captions), compared.coded[0].name
    images = [
        f'<img data-name="{name}" data-caption="{escape(captions[name])}" draggable="false" '
        f'alt="{escape(f"{compared.name}, {name}")}" '
        f"{'' if name == 'original' else OVER if name == second else HIDDEN}"
        f'src="{embedded(pixels[view.slices], compared.picture)}">'
        for name, pixels in of_all(compared)
    ]
    rows, columns = view.size
    return "\n".join([
        f'<div class="viewer" style="--w:{columns};--h:{rows}"><div class="controls">',
        select("left", "Left", names, "original"), select("right", "Right", names, second),
        select("zoom", "Zoom", ZOOMS, "fit"), "</div>",
        f'<div class="frame" tabindex="0" role="group" aria-label="{escape(compared.name)}">',
        '<div class="stage">', *images,
        '<div class="divider"></div></div></div>',
        '<label class="slide">Divider between left and right',
        '<input type="range" min="0" max="100" step="0.5" value="50"></label>',
        '<p class="shown" aria-live="polite"><span class="on-left">Left: original</span>',
        f'<span class="on-right">Right: {escape(captions[second])}</span></p></div>',
    ])  # fmt: skip


def select(kind: str, label: str, names: list[str] | tuple[str, ...], chosen: str) -> str:
    """A choice among names."""
    options = "".join(
        f"<option{' selected' if name == chosen else ''}>{name}</option>" for name in names
    )
    return f'<label>{label} <select class="{kind}">{options}</select></label>'


def crops(compared: Compared) -> str:
    """Figures of equal size."""
    captions = {"original": ["original"]} | {c.name: [c.name, *c.lines] for c in compared.coded}
    _, columns = compared.crop.size
    zoom = max(1, -(-CROP_WIDTH // columns))
    return "\n".join(
        f'<figure style="--w:{columns};--zoom:{zoom}">'
        f'<img alt="{escape(f"crop of {compared.name}, {name}")}" '
        f'src="{embedded(pixels[compared.crop.slices], compared.picture)}">'
        f"<figcaption><b>{captions[name][0]}</b><br>{'<br>'.join(captions[name][1:])}</figcaption>"
        "</figure>"
        for name, pixels in of_all(compared)
    )


def of_all(compared: Compared) -> list[tuple[str, Pixels]]:
    """Names and samples, the original first."""
    coded = [(c.name, c.pixels) for c in compared.coded]
    return [("original", compared.picture.pixels), *coded]


def caption(coded: Coded) -> str:
    """In one line."""
    return f"{coded.name}, {'; '.join(coded.lines)}"


def embedded(pixels: Pixels, picture: Picture) -> str:
    """Samples as the address of a PNG, in the colours of the picture."""
    data = to_png(Picture(pixels, picture.icc), files.PIPE)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
