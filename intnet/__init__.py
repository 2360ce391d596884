"""intnet: learned image compression that decodes to the same bytes on every machine.

The runtime (encode, decode, certify, conformance) is integers only and never imports torch.
"""

from importlib import metadata

try:
    __version__ = metadata.version("intnet")
except metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
