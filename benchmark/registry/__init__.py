"""One registry for every kind of plug-in, found by folder scan; files are parsed, not imported."""

from benchmark.registry.entry import Entry
from benchmark.registry.plugins import add_plugins, load_plugins
from benchmark.registry.registry import Registry
from benchmark.registry.scan import UNKNOWN

__all__ = ["UNKNOWN", "Entry", "Registry", "add_plugins", "load_plugins"]
