"""`profile`: the measured cost of detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import DEVICE, PLUGINS, load_plugins, out


def command(
    detectors: Annotated[
        str, typer.Option("--detectors", "--detector", help="names, comma lists, wildcards or all")
    ] = "all",
    side: Annotated[int, typer.Option(min=16, help="side of the square input, px")] = 256,
    batch: Annotated[
        int | None,
        typer.Option(min=2, help="batch for the throughput; default 8 on a GPU, 4 on a CPU"),
    ] = None,
    device: Annotated[str, DEVICE] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; default: all cores")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    fuse: Annotated[
        bool, typer.Option("--fuse", help="measure with batch-norm folded into convolutions, too")
    ] = False,
    output: Annotated[Path, typer.Option(help="folder for the tables and profiles")] = Path(
        "results/profile"
    ),
    plugins: Annotated[Path | None, PLUGINS] = None,
    force: Annotated[bool, typer.Option("--force", help="measure again what is there")] = False,
) -> None:
    """Measure detectors: parameters, MACs, latency, throughput, memory; each one alone.

    Every detector runs in a fresh process, one after the other, warmed up and synchronised. Run
    nothing else on the machine meanwhile.
    """
    import detectors as package
    from benchmark.preflight.disk import make_output
    from benchmark.profiling.parent import profile_detectors
    from benchmark.profiling.table import write_cost_table

    load_plugins(plugins)
    names = package.REGISTRY.match([detectors])
    make_output(output)
    profiles, failed = profile_detectors(
        names, output, device, out, side, batch, threads, precision, fuse, plugins, force
    )
    write_cost_table(profiles, output, out)
    raise typer.Exit(1 if failed else 0)
