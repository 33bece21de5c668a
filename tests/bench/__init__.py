"""Benchmarks of the harness's own code; `python -m tests.bench --help`."""
