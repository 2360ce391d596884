"""`intnet compare`: pictures by several codecs at one rate, to look at."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intnet import files
from intnet.commands import common
from intnet.errors import IntnetError
from intnet.limits import DEFAULT, MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from intnet.look.compare import Compared
    from intnet.model_file import Model
    from intnet.windows import Area

CODECS = "intnet,jpeg,webp,avif,jxl"
OUTPUTS = (".html", ".png")


@common.verb
def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="PICTURE...", help="PNG, JPEG, WebP, TIFF or PPM.")
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A page (.html) or a sheet of crops (.png)."),
    ] = None,
    codecs: Annotated[
        str, typer.Option("--codecs", help="Those that are not installed are listed.")
    ] = CODECS,
    bpp: Annotated[float, typer.Option("--bpp", help="Bits per pixel that none exceeds.")] = 0.3,
    crop: Annotated[
        str | None,
        typer.Option(metavar=common.AREA, help="What to look at; default: the most detailed part."),
    ] = None,
    model: common.ModelOption = None,
    max_pixels: common.MaxPixels = DEFAULT.pixels,
    max_memory: common.MaxMemory = common.MAX_MEMORY,
    *,
    as_json: common.Json = False,
) -> None:
    """Look at codecs beside one another, at the same bits per pixel.

    Every codec gets its best quality that needs no more than --bpp. A page holds its pictures: it
    opens from a file and loads nothing; drag its slider, with the mouse, a finger or the arrow
    keys, between the original and what was decoded, or between any two. Bits are those of the
    whole file, without ICC profile and EXIF.

    \b
    intnet compare photo.png -o compare.html
    intnet compare a.png b.png --bpp 0.2 --codecs intnet,avif -o compare.png
    intnet compare photo.png --crop 100,50,256,192 --json
    """
    keys = chosen(codecs)
    if not 0 < bpp < math.inf:
        common.misuse(f"--bpp {bpp}: must be above 0")
    if output is None and not as_json:
        common.misuse("needs -o FILE.html, -o FILE.png or --json")
    if output is not None:
        if suffix_of(output) not in OUTPUTS:
            common.misuse(f"-o {output}: the suffix must be one of {', '.join(OUTPUTS)}")
        common.check_output(output, as_json=as_json)
    area = common.parse_area("--crop", crop) if crop else None

    from intnet import api
    from intnet.look.coders import at_hand

    there, missing = at_hand(keys)
    if not there:
        raise IntnetError(f"--codecs {codecs}: none is at hand; {'; '.join(listed(missing))}")
    limits = Limits(max_pixels, memory=max_memory * MIB)
    with common.progress("comparing", len(sources) * len(there)) as advance:
        run = Run(there, bpp, api.open_model(model), limits, advance)
        compared = [run.picture(source, area) for source in sources]
    if output is not None:
        files.write(output, drawn(compared, bpp, listed(missing), suffix_of(output)))
    if as_json:
        document = {"bpp": bpp, "pictures": [c.document for c in compared], "not_at_hand": missing}
        common.print_json(document)
    elif output != files.PIPE:
        show(compared, listed(missing))


def chosen(codecs: str) -> list[str]:
    """Keys, in the order given."""
    keys, known = list(dict.fromkeys(codecs.split(","))), CODECS.split(",")
    for key in keys:
        if key not in known:
            common.misuse(f"--codecs {codecs}: {key!r}, must be of {CODECS}")
    return keys


def suffix_of(output: str) -> str:
    """Of a file; stdout gets a page."""
    return ".html" if output == files.PIPE else Path(output).suffix.lower()


def listed(missing: dict[str, str]) -> list[str]:
    """A line for each codec that is not at hand."""
    from intnet.look.coders import NAMES

    return [f"{NAMES[key]}: {why}" for key, why in missing.items()]


class Run:
    """What all pictures are compared with; advance: called after each codec."""

    def __init__(
        self, keys: list[str], bpp: float, model: Model, limits: Limits, advance: Callable[[], None]
    ) -> None:
        self.keys, self.bpp, self.model = keys, bpp, model
        self.limits, self.advance = limits, advance

    def picture(self, source: str, crop: tuple[int, int, int, int] | None) -> Compared:
        """One of them, by every codec."""
        from intnet import pictures
        from intnet.look import coders
        from intnet.look import compare as comparing

        name = Path(files.label(source)).name
        picture, coded = pictures.load(source, self.limits.pixels), []
        coders.check(picture, name)
        area = self.area(picture.pixels.shape, crop, name) or comparing.busiest(picture.pixels)
        for key in self.keys:
            found = comparing.coded(key, picture.pixels, self.bpp, self.model, self.limits)
            coded.append(found)
            self.advance()
        return comparing.Compared(name, picture, area, coded)

    @staticmethod
    def area(
        shape: tuple[int, ...], crop: tuple[int, int, int, int] | None, name: str
    ) -> Area | None:
        """The crop, within a picture."""
        from intnet.windows import Area

        if crop is None:
            return None
        x, y, w, h = crop
        if min(w, h) < 1 or x + w > shape[1] or y + h > shape[0]:
            size = f"{shape[1]}x{shape[0]}"
            raise IntnetError(f"--crop {x},{y},{w},{h}: must be within {name}, {size} pixels")
        return Area((y, y + h), (x, x + w))


def drawn(compared: list[Compared], bpp: float, missing: list[str], suffix: str) -> bytes:
    """The file."""
    notes = [
        f"Every codec at its best quality of at most {bpp:g} bits per pixel.",
        "Bits are those of whole files, without ICC profile and EXIF.",
        "JPEG (4:2:0, optimised), WebP, AVIF and JPEG XL: by Pillow, at its default effort.",
        *(f"Not at hand: {line}" for line in missing),
    ]
    if suffix == ".png":
        from intnet.look import draw

        return draw.png(draw.sheet(compared, notes))
    from intnet.look.page import page

    return page(compared, bpp, notes).encode()


def show(compared: list[Compared], missing: list[str]) -> None:
    """The numbers, for people."""
    for picture in compared:
        rows = [coded.document for coded in picture.coded]
        common.print_table(picture.name, rows)
    for line in missing:
        print(f"not at hand: {line}", file=sys.stderr)
