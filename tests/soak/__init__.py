"""A mixed load for minutes or hours: ``python -m tests.soak --minutes 30 --faults 0.1``."""
