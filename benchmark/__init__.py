"""The harness: config -> matrix -> executor -> worker -> record on disk -> report."""

__version__ = "0.1.0"
