"""The Pillow plugin: after `import intnet.pillow`, Pillow opens and saves `.inic`.

    import intnet.pillow
    from PIL import Image

    image.save("x.inic", quality=40)
    Image.open("x.inic").thumbnail((64, 64))

Pillow (13 and older) looks for no entry points: it knows a plugin once it is imported.

Opening reads header and chunks: size, mode, and in `info` icc_profile, exif, quality and model_id,
where they are. Samples are decoded when they are first asked for. The format has no preview, so
`draft` does nothing and `thumbnail` decodes the whole picture. `verify` compares every checksum.

Saving takes quality, target_bpp, max_bytes, model, verify and tile, as `intnet.encode` does, and
icc_profile and exif, which are otherwise those of `info`. As the format has no orientation, samples
are turned as EXIF says. Several frames are refused; `image.copy()` has one.

Whatever is wrong with a stream or a picture is an OSError with our message. The stream is whole
before its first byte is written, and Pillow removes a file that it made for a save that fails; one
that was there before is emptied by Pillow before it asks us.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Any

from PIL import Image, ImageFile

import intnet
from intnet import chunks, container, limits, pictures
from intnet.errors import IntnetError, PictureError

FORMAT, EXTENSION, MIME = "INIC", ".inic", "image/x-inic"
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by channels
INFO = {"icc_profile": chunks.ICC, "exif": chunks.EXIF}
OPTIONS = ("quality", "target_bpp", "max_bytes", "model", "verify", "tile")
LIMITS = limits.DEFAULT  # may be set: Image.open has no way to pass it; Pillow's own holds too


@contextlib.contextmanager
def os_errors() -> Iterator[None]:
    """What is wrong with a file, as Pillow's users catch it."""
    try:
        yield
    except IntnetError as error:
        raise OSError(str(error)) from error


class InicImageFile(ImageFile.ImageFile):
    """An opened stream, not decoded yet."""

    format = FORMAT
    format_description = "intnet, learned image compression"

    def _open(self) -> None:
        with os_errors():
            header = container.read_head(self.file, LIMITS)
        self._size = header.width, header.height
        self._mode = MODES[header.channels]
        said = {name: chunks.of_type(header.chunks, kind) for name, kind in INFO.items()}
        self.info |= {name: data for name, data in said.items() if data}
        self.info |= {"quality": header.quality, "model_id": header.model_id.hex()}
        whole = (0, 0, *self._size)
        self.tile = [("inic", whole, 0, None)]  # type: ignore[list-item]  # no _Tile below Pillow 11

    @property
    def file(self) -> IO[bytes]:
        """What is read from."""
        if self.fp is None:
            raise ValueError("image: closed")
        return self.fp

    def verify(self) -> None:
        """Compare every checksum, decode nothing. Raises OSError; afterwards the file is closed."""
        self.file.seek(0)
        with os_errors():
            intnet.read_header(self.file.read(), LIMITS)
        super().verify()


class InicDecoder(ImageFile.PyDecoder):
    """Samples of a stream, for `Image.load`."""

    _pulls_fd = True

    def decode(self, _buffer: Any) -> tuple[int, int]:
        """Decode all. Raises OSError."""
        assert self.fd is not None
        with os_errors():
            pixels = intnet.decode(self.fd.read(), limits=LIMITS)
        self.set_as_raw(pixels.tobytes())
        return -1, 0


def accepts(prefix: bytes) -> bool:
    """Whether a file that begins so is a stream."""
    return prefix.startswith(container.MAGIC)


def save(image: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    """Encode an image as its encoderinfo says. Raises OSError, ValueError for wrong options."""
    said = image.encoderinfo
    if said.get("append_images"):  # older Pillow comes here without save_all
        save_all(image, file, name)
    upright = image.copy()
    upright.info |= {name: as_bytes(said[name]) for name in INFO if name in said}
    with os_errors():
        pictures.check_kind(image, "image")
        picture = pictures.samples(upright, "image")
        options: dict[str, Any] = {name: said[name] for name in OPTIONS if name in said}
        stream = intnet.encode(picture.pixels, icc=picture.icc, exif=picture.exif, **options)
    file.write(stream)


def as_bytes(data: bytes | Image.Exif | None) -> bytes:
    """ICC profile or EXIF as Pillow's users pass it; None: none."""
    return data.tobytes() if isinstance(data, Image.Exif) else data or b""


def save_all(_image: Image.Image, _file: IO[bytes], _name: str | bytes) -> None:
    """Refuse. Raises OSError."""
    with os_errors():
        raise PictureError("image: save_all, a single picture is allowed (save without it)")


Image.register_open(FORMAT, InicImageFile, accepts)
Image.register_decoder("inic", InicDecoder)
Image.register_save(FORMAT, save)
Image.register_save_all(FORMAT, save_all)
Image.register_extension(FORMAT, EXTENSION)
Image.register_mime(FORMAT, MIME)
