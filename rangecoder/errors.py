"""What this package raises, as one tree.

Bad arguments (wrong dtype, length, table index, symbol beyond the bound) are plain `ValueError`;
bad tables and bad payloads have a name, since a caller handles them differently.
"""


class RangeCoderError(ValueError):
    """Base of every error about data, as opposed to arguments."""


class TableError(RangeCoderError):
    """A set of CDF tables, or its serialised form, breaks a rule of the format."""


class PayloadError(RangeCoderError):
    """Bytes that no encoder writes for these tables and indexes."""
