"""Fuzzers of all that reads what others wrote: ``python -m tests.fuzz --cases 100000``."""
