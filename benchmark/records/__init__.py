"""What runs leave on disk, and all of it as one table: `load_records`."""

from benchmark.records.frame import load_records

__all__ = ["load_records"]
