"""The registry of detectors, apart from the package's face: what is behind the face needs it."""

from __future__ import annotations

from benchmark.registry import Registry
from benchmark.registry.info import DetectorInfo

REGISTRY: Registry[DetectorInfo] = Registry("detector", base="Detector", package="detectors")
