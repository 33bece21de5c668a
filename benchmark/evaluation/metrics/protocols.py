"""The metric protocols by name; a further one is a file beside this and a line here."""

from __future__ import annotations

from benchmark.evaluation.metrics.basicirstd import BasicIRSTDProtocol
from benchmark.evaluation.metrics.mshnet import MSHNetProtocol
from benchmark.evaluation.metrics.native import NativeProtocol
from benchmark.evaluation.metrics.opdc import OPDCProtocol
from benchmark.evaluation.metrics.protocol import Protocol
from benchmark.evaluation.metrics.shooting import ShootingProtocol

PROTOCOLS: dict[str, type[Protocol]] = {
    cls.name: cls
    for cls in (
        NativeProtocol,
        BasicIRSTDProtocol,
        MSHNetProtocol,
        OPDCProtocol,
        ShootingProtocol,
    )
}
