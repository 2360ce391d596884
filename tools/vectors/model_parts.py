"""A model file taken apart, so that one thing in it can be changed and the rest stays right."""

from __future__ import annotations

import hashlib
import json
from typing import Any

Json = dict[str, Any]
DTYPES = {"U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32"}


class Parts:
    """Document, and per tensor its dtype, shape and bytes."""

    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[:8], "little")
        header, tensors = json.loads(data[8 : 8 + length]), data[8 + length :]
        self.document: str = header.pop("__metadata__")["intnet"]
        self.tensors: dict[str, tuple[str, list[int], bytes]] = {
            name: (entry["dtype"], entry["shape"], tensors[slice(*entry["data_offsets"])])
            for name, entry in header.items()
        }

    def edit(self, old: str, new: str) -> Parts:
        """The first place in the document where `old` stands."""
        assert old in self.document, old
        self.document = self.document.replace(old, new, 1)
        return self

    def write(self, name: str, at: int, new: bytes) -> Parts:
        """Bytes of a tensor."""
        dtype, shape, data = self.tensors[name]
        self.tensors[name] = (dtype, shape, data[:at] + new + data[at + len(new) :])
        return self

    def tensor(self, name: str, dtype: str, shape: list[int], data: bytes) -> Parts:
        """A whole tensor, new or not."""
        self.tensors[name] = (dtype, shape, data)
        return self

    def rename(self, old: str, new: str) -> Parts:
        """Beginnings of names of tensors."""
        self.tensors = {
            new + name.removeprefix(old) if name.startswith(old) else name: tensor
            for name, tensor in self.tensors.items()
        }
        return self

    def header(self) -> Json:
        """The JSON of a file with the right hash."""
        found, digest, at = {}, hashlib.sha256(self.document.encode("utf-8", "replace")), 0
        for name, (dtype, shape, data) in sorted(self.tensors.items()):
            found[name] = {"data_offsets": [at, at + len(data)], "dtype": dtype, "shape": shape}
            line = f"\n{name} {DTYPES.get(dtype, dtype)} {'x'.join(map(str, shape))}\n"
            digest.update(line.encode("utf-8", "replace") + data)
            at += len(data)
        return found | {"__metadata__": {"intnet": self.document, "sha256": digest.hexdigest()}}

    def body(self) -> bytes:
        """The bytes of all tensors."""
        return b"".join(data for _, (_, _, data) in sorted(self.tensors.items()))

    def file(self) -> bytes:
        """The file with the hash of what it now holds."""
        return framed(spelled(self.header()), self.body())


def spelled(header: Json) -> str:
    """JSON as our writer spells it."""
    return json.dumps(header, sort_keys=True, separators=(",", ":"))


def framed(header: str | bytes, body: bytes) -> bytes:
    """A file of a header as it stands."""
    raw = header if isinstance(header, bytes) else header.encode()
    return len(raw).to_bytes(8, "little") + raw + body
