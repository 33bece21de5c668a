"""The metric protocols by name; a further one is a file beside this and a line here."""

from __future__ import annotations

from benchmark.evaluation.protocol import Protocol
from benchmark.evaluation.protocols.basicirstd import BasicIRSTDProtocol
from benchmark.evaluation.protocols.mshnet import MSHNetProtocol
from benchmark.evaluation.protocols.native import NativeProtocol
from benchmark.evaluation.protocols.opdc import OPDCProtocol
from benchmark.evaluation.protocols.shooting import ShootingProtocol

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
