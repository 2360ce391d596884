"""Pictures in and out with Pillow: 8-bit grey or RGB, with alpha or not, nothing silently reduced.

In: PNG, JPEG, WebP, TIFF, PPM/PGM, told by their content. Out: PNG, PPM/PGM, told by the suffix.
Whatever cannot be kept (16 bits, CMYK, several frames) is refused rather than dropped.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from intnet import chunks, files, pillow_limit, pnm
from intnet.container import MAX_PIXELS, MAX_SIDE
from intnet.errors import PictureError
from intnet.limits import DEFAULT

Pixels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "PPM")
OUTPUTS = (".png", *pnm.SUFFIXES)
# zlib's default is 6. Level 3 takes 0.4 of its time and makes decoded pictures 3 % larger (Kodak at
# quality 32; 6 % at quality 10).
LEVEL = 3
MAPPED = 2**26  # bytes of a PPM or PGM from which on it is mapped rather than read
ALLOWED = "allowed: 8-bit grey or RGB, with alpha or without"
CONVERTED = {"1": "L", "P": "RGB", "L": "L", "RGB": "RGB", "LA": "LA", "RGBA": "RGBA"}
WITH_ALPHA = {"1": "LA", "P": "RGBA", "PA": "RGBA", "L": "LA", "RGB": "RGBA", "LA": "LA",
              "RGBA": "RGBA"}  # fmt: skip


class Picture(NamedTuple):
    """Samples uint8 (h, w, 1 to 4), and what a picture file says of them; empty where nothing.

    Two channels are grey and alpha, four are RGB and alpha. exif: without an orientation, which
    the samples have been turned by.
    """

    pixels: Pixels
    icc: bytes = b""
    exif: bytes = b""


def read(source: str | Path, max_pixels: int = DEFAULT.pixels) -> Pixels:
    """Samples uint8 (h, w, 1 to 4) of a file or, for '-', of stdin, turned as EXIF says.

    Raises PictureError for anything else than an 8-bit grey or RGB picture of at most max_pixels,
    OSError where the file cannot be read. Large PPM and PGM are mapped into memory: they must not
    shrink while the samples are in use.
    """
    return load(source, max_pixels).pixels


def load(source: str | Path, max_pixels: int = DEFAULT.pixels) -> Picture:
    """As read, with what the file says of its samples."""
    name, path = files.label(source), Path(source)
    if str(source) != files.PIPE and path.is_file() and path.stat().st_size >= MAPPED:
        with path.open("rb") as file:
            header = pnm.read_header(file.read(64))
        if header:
            check_size(header.size, name, max_pixels)
            return Picture(pnm.mapped(path, header))
    return parse(files.read(source), name, max_pixels)


def from_bytes(data: bytes, name: str = "picture", max_pixels: int = DEFAULT.pixels) -> Pixels:
    """As read; messages call the picture by name."""
    return parse(data, name, max_pixels).pixels


def parse(data: bytes, name: str = "picture", max_pixels: int = DEFAULT.pixels) -> Picture:
    """As load; messages call the picture by name."""
    if not data:
        raise PictureError(f"{name}: empty file, must be a picture ({', '.join(FORMATS)})")
    with pillow_limit.lifted():  # our own follows; theirs is looked at when samples are read, too
        image = opened(data, name)
        check_size(image.size, name, max_pixels)
        check_kind(image, name)
        check_whole(data, image, name)
        return samples(image, name)


def opened(data: bytes, name: str) -> Image.Image:
    """The picture's header, read by Pillow; no sample is decoded yet."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        unknown = f"not a picture that can be read; allowed: {', '.join(FORMATS)}"
        cause = "zero-size picture" if zero_size(data) else unknown
        raise PictureError(f"{name}: {cause}") from None
    except Exception as error:  # noqa: BLE001  # Pillow's plugins raise anything on damaged files
        raise PictureError(f"{name}: damaged picture ({error})") from None


def zero_size(data: bytes) -> bool:
    """Whether a PNG or PNM header states an empty side, which Pillow does not tell apart."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 24:
        return 0 in (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    fields = data[:64].split()
    pnm = bool(fields) and fields[0] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
    return pnm and any(f.isdigit() and int(f) == 0 for f in fields[1:3])


def check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """Refuse what the codec cannot take, or its user would not, before memory is spent on it."""
    width, height = size
    if min(size) < 1:
        raise PictureError(f"{name}: zero-size picture ({width}x{height})")
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        raise PictureError(f"{name}: {width}x{height}, at most {MAX_PIXELS} pixels")
    if width * height > max_pixels:
        raise PictureError(
            f"{name}: {width}x{height}, at most {max_pixels} pixels (see --max-pixels)"
        )


def check_kind(image: Image.Image, name: str) -> None:
    """Refuse what 8-bit grey or RGB samples cannot hold. MPO is a JPEG with previews behind it."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise PictureError(f"{name}: {frames} frames, a single picture is allowed")
    mode = image.mode
    if mode.startswith(("I", "F")) or deep(image):
        raise PictureError(f"{name}: mode {mode} with more than 8 bits per sample; {ALLOWED}")
    if mode not in WITH_ALPHA:
        raise PictureError(f"{name}: mode {mode}; {ALLOWED}")


def deep(image: Image.Image) -> bool:
    """Whether the file has more bits per sample than Pillow's mode, which it would drop."""
    tiles: list[Any] = getattr(image, "tile", [])
    for tile in tiles:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(a, str) and ";16" in a for a in arguments):
            return True
        if image.format == "PPM" and any(isinstance(a, int) and a > 255 for a in arguments):
            return True
    return False


def check_whole(data: bytes, image: Image.Image, name: str) -> None:
    """Refuse a PNG with a wrong checksum or without its end, both of which decoding overlooks."""
    if image.format != "PNG":
        return
    try:
        opened(data, name).verify()
    except Exception as error:  # noqa: BLE001  # Pillow's plugins raise anything on damaged files
        raise PictureError(f"{name}: damaged or truncated picture ({error})") from None


def samples(image: Image.Image, name: str) -> Picture:
    """Decode, turn upright, convert."""
    try:
        kind, icc = image.mode, image.info.get("icc_profile") or b""
        ImageOps.exif_transpose(image, in_place=True)  # copies only where it turns
        exif = image.getexif()
        said = exif.tobytes() if len(exif) else b""
        mode = (WITH_ALPHA if image.has_transparency_data else CONVERTED)[image.mode]
        x = np.asarray(image if image.mode == mode else image.convert(mode))
        if x.dtype != np.uint8:
            x = x.astype(np.uint8)
    except Exception as error:  # noqa: BLE001  # Pillow's plugins raise anything on damaged files
        raise PictureError(f"{name}: damaged or truncated picture ({error})") from None
    x = x.reshape(*x.shape[:2], -1)
    if kind == "P" and x.shape[2] == 3 and bool((x == x[..., :1]).all()):
        x = np.ascontiguousarray(x[..., :1])  # a palette of greys
    return Picture(x, icc, said)


def of_image(image: Image.Image) -> Picture:
    """As load, of an image that Pillow has opened or made; it is not changed.

    Raises PictureError for several frames, or a mode that 8 bits cannot hold.
    """
    check_kind(image, "image")
    return samples(image.copy(), "image")


def orientation_in(exif: bytes) -> Any:
    """1 to 8, or whatever else EXIF holds in that place; None: nothing. ValueError: no EXIF."""
    found = Image.Exif()
    try:
        found.load(exif)
        return found.get(ExifTags.Base.Orientation)
    except Exception as error:  # noqa: BLE001  # Pillow raises anything on damaged EXIF
        raise ValueError(f"exif: damaged ({error})") from None


def ancillary(picture: Picture, name: str) -> chunks.Chunks:
    """ICC profile and EXIF as chunks. Raises PictureError for one that no stream can hold."""
    said = ((chunks.ICC, picture.icc), (chunks.EXIF, picture.exif))
    for kind, data in said:
        if chunks.too_large(kind, len(data)):
            what = {chunks.ICC: "ICC profile", chunks.EXIF: "EXIF"}[kind]
            raise PictureError(
                f"{name}: {what} of {len(data)} bytes, at most {chunks.MAX_ANCILLARY}; "
                "--strip leaves it out"
            )
    return tuple(chunks.Chunk(kind, data) for kind, data in said if data)


def writable(target: str | Path) -> bool:
    """Whether the suffix is one that `write` knows."""
    return str(target) == files.PIPE or Path(target).suffix.lower() in OUTPUTS


def write(target: str | Path, pixels: Pixels, icc: bytes = b"", exif: bytes = b"") -> None:
    """Write samples uint8 (h, w, 1 to 4) whole or not at all; '-' is stdout, as PNG.

    PPM has no place for icc and exif. Raises PictureError for a suffix or samples that the format
    cannot hold, OSError otherwise.
    """
    if in_rows(target):
        write_rows(target, pixels.shape, [pixels])
    else:
        files.write(target, to_png(Picture(pixels, icc, exif), target))


def in_rows(target: str | Path) -> bool:
    """Whether `write_rows` can write it."""
    return str(target) != files.PIPE and Path(target).suffix.lower() in pnm.SUFFIXES


def write_rows(target: str | Path, shape: tuple[int, ...], rows: Iterable[Pixels]) -> None:
    """Write samples uint8 of a shape (h, w, 1 or 3) as PPM or PGM, from parts of its rows in order.

    The target appears whole, or not at all where rows raises. Raises PictureError for a suffix or
    shape that the format cannot hold, OSError otherwise.
    """
    height, width, channels = shape
    suffix = checked_suffix(target, channels)
    grey = channels == 1 and suffix != ".ppm"
    with files.writing(target) as file:
        file.write(pnm.header(width, height, 1 if grey else 3))
        for part in rows:
            whole = part if grey else np.broadcast_to(part, (*part.shape[:2], 3))
            file.write(np.ascontiguousarray(whole).data)


def checked_suffix(target: str | Path, channels: int) -> str:
    """In lower case. Raises PictureError for one that is unknown or cannot hold the channels."""
    suffix = ".png" if str(target) == files.PIPE else Path(target).suffix.lower()
    if suffix not in OUTPUTS:
        raise PictureError(f"{target}: suffix {suffix!r}, must be one of {', '.join(OUTPUTS)}")
    if suffix in pnm.SUFFIXES and channels in (2, 4):
        raise PictureError(f"{target}: the picture has alpha, which PPM cannot hold (use .png)")
    if suffix == ".pgm" and channels != 1:
        raise PictureError(f"{target}: the picture is RGB, a .pgm holds grey (use .ppm or .png)")
    return suffix


def to_png(picture: Picture, target: str | Path) -> bytes:
    """The file that `write` writes to a target that is no PPM or PGM."""
    pixels = picture.pixels
    checked_suffix(target, pixels.shape[2])
    buffer = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    said = {"icc_profile": picture.icc, "exif": picture.exif}
    options: dict[str, Any] = {name: data for name, data in said.items() if data}
    image.save(buffer, "PNG", compress_level=LEVEL, **options)
    return buffer.getvalue()
