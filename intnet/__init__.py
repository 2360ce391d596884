"""intnet: learned image compression that decodes to the same bytes on every machine.

The runtime (encode, decode, certify, conformance) is integers only and never imports torch.
"""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: that takes longer than all else here."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata  # noqa: PLC0415  # the point of this function

    try:
        return metadata.version("intnet")
    except metadata.PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
