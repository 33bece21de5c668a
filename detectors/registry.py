"""The registry of detectors, apart from the package's interface: modules behind it need it."""

from __future__ import annotations

from benchmark.registry import Registry
from benchmark.registry.info import DetectorInfo

REGISTRY: Registry[DetectorInfo] = Registry("detector", base="Detector", package="detectors")
