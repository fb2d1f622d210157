"""What the SDK costs beside bare libraries, and its goals: ``python -m tests.benchmarks``."""
