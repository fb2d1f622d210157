"""The version of this package; it stands here alone, because everything may import it."""

__version__ = "1.0.0"
