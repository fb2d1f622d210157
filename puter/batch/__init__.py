"""Batches: many items asked at once, written down as they are answered, and gone on with later."""

from puter.batch.results import BatchResults

__all__ = ["BatchResults"]
