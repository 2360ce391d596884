"""The exceptions of intnet: one base, six children. A message says what, where, got, allowed."""

from __future__ import annotations


class IntnetError(Exception):
    """Something that a file or a model contains is not allowed."""


class ModelError(IntnetError):
    """A model file or a program is malformed, damaged, or not the one a stream asks for."""


class StreamError(IntnetError):
    """A stream is malformed, damaged or truncated."""


class BoundError(ModelError):
    """An integer program could overflow: the proof names op, channel, bound and limit."""


class PictureError(IntnetError):
    """A file is not a picture that the codec takes; the message names file, mode and what is."""


class BackendError(IntnetError, ImportError):
    """A backend that cannot be imported; the message says what is missing."""


class SettingError(IntnetError, ValueError):
    """An environment variable, INTNET_SIMD or INTNET_THREADS, has a value that is not allowed."""
