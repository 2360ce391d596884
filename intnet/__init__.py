"""intnet: learned image compression that decodes to the same bytes on every machine.

    import intnet
    stream = intnet.encode(picture, quality=40)   # an array or an image of Pillow, to bytes
    pixels = intnet.decode(stream)                # the same samples on every machine

The runtime (encode, decode, certify, conformance) is integers only and never imports torch.
"""

TYPE_CHECKING = False  # as type checkers know it; the module typing itself takes a while
if TYPE_CHECKING:  # at run time they come when they are asked for: NumPy and numba take longer
    from intnet.api import decode, encode, open_model, read_header
    from intnet.errors import IntnetError
    from intnet.limits import Limits

    __version__: str

WHERE = {"IntnetError": "errors", "Limits": "limits"}  # else: api

__all__ = ["IntnetError", "Limits", "__version__", "decode", "encode", "open_model", "read_header"]


def __getattr__(name: str) -> object:
    """A public name, when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        return version()
    from importlib import import_module  # noqa: PLC0415  # all of this is late

    found = getattr(import_module(f"intnet.{WHERE.get(name, 'api')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})


def version() -> str:
    """Of the installed package, looked up when it is asked for."""
    from importlib import metadata  # noqa: PLC0415  # takes longer than all else here

    try:
        return metadata.version("intnet")
    except metadata.PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
