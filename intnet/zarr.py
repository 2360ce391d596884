"""The codec `intnet` of Zarr format 3: from chunks of pictures to bytes. It is lossy.

    import zarr
    from intnet.zarr import IntnetCodec

    zarr.create_array("x.zarr", shape=(99, 2048, 2048), chunks=(1, 512, 512), dtype="uint8",
                      serializer=IntnetCodec(quality=40), compressors=None)

What chunks may be is said in `intnet.numcodecs`. Another dtype or chunk is a ValueError when the
array is made, but for the chunks within shards: Zarr does not show them to the codec before the
first write, which is then refused and stores nothing.

An installed package needs no import to read such arrays: Zarr finds the codec by its entry point.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.chunk_grids import ChunkGrid, RegularChunkGrid
from zarr.core.dtype.wrapper import TBaseDType, TBaseScalar, ZDType

from intnet.api import DEFAULT_QUALITY
from intnet.errors import StreamError
from intnet.numcodecs import Intnet, check_dtype, picture_shape


@dataclass(frozen=True)
class IntnetCodec(ArrayBytesCodec):
    """Lossy compression of uint8 chunks; arguments and errors are those of `Intnet`."""

    quality: int = DEFAULT_QUALITY
    model: str | None = None
    is_fixed_size = False

    def __post_init__(self) -> None:
        """A name becomes an id, which is what metadata say."""
        object.__setattr__(self, "model", self.chunk_codec.model)

    @property
    def chunk_codec(self) -> Intnet:
        """What codes a chunk."""
        return Intnet(self.quality, self.model)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From JSON. Raises TypeError for an unknown key of its configuration."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        configuration = {"quality": self.quality, "model": self.model}
        return {"name": Intnet.codec_id, "configuration": configuration}

    def validate(
        self,
        *,
        shape: tuple[int, ...],  # noqa: ARG002  # as Zarr calls it
        dtype: ZDType[TBaseDType, TBaseScalar],
        chunk_grid: ChunkGrid,
    ) -> None:
        """Raise ValueError for another dtype or chunk, TypeError for chunks of unlike sizes."""
        if not isinstance(chunk_grid, RegularChunkGrid):
            raise TypeError(f"intnet: {type(chunk_grid).__name__}, must be a RegularChunkGrid")
        picture_shape(chunk_grid.chunk_shape, dtype.to_native_dtype())

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """The same. Raises ValueError for another dtype, within shards too.

        The shape is that of a chunk within a shard, but else of the array: it says nothing.
        """
        check_dtype(array_spec.dtype.to_native_dtype())
        return self

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before a chunk is encoded."""
        raise NotImplementedError

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = self.chunk_codec.decode(chunk_data.to_bytes())
        expected = picture_shape(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        if pixels.shape != expected:
            raise StreamError(f"stream: samples {pixels.shape}, those of the chunk are {expected}")
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(pixels.reshape(chunk_spec.shape))

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        chunk = np.ascontiguousarray(chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(self.chunk_codec.encode(chunk))
