"""The commands beside the benchmark: list, show, report, profile, predict, evaluate, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.console import say
from benchmark.errors import UserError

out = Console()

PLUGINS = typer.Option(help="folder with plug-ins to include")
WHICH = "Which network: a run, or a detector with weights"
RUN = typer.Option(rich_help_panel=WHICH, help="a run's folder, its record.json, or its id")
DETECTOR = typer.Option(rich_help_panel=WHICH, help="name, e.g. mshnet or acm:port")
WEIGHTS = typer.Option(
    rich_help_panel=WHICH, help="checkpoint; official ones (also MXNet .params) load as they are"
)
TRUTH = "What is true: a data set, or a folder of masks"
TABLES = "How the tables call it"
RESULTS = typer.Option(help="where to look for a run's id")


def list_(
    kind: Annotated[
        str,
        typer.Argument(help="detectors, losses, datasets, protocols or recipes; all by default"),
    ] = "",
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """List what can be crossed."""
    from benchmark.commands.listing import print_lists

    print_lists(kind, plugins, out)


def report(
    folder: Annotated[Path, typer.Argument(help="output folder of earlier runs")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="POINT",
            help="read the stored curves elsewhere than at probability 0.5: best-iou, or fa=1e-5 "
            "for the best Pd within that rate; chosen on the test set, and labelled so",
        ),
    ] = None,
    without_failed: Annotated[
        bool,
        typer.Option("--without-failed", help="leave out cells that have no result"),
    ] = False,
) -> None:
    """Rebuild tables and figures from the records in a folder, without running anything.

    With --at they go to FOLDER/report/at-.../, beside the others.
    """
    from benchmark.report import write_report
    from benchmark.report.operating import parse_point

    if not folder.is_dir():
        raise UserError(f"report {folder}: no such folder")
    write_report(folder, out, parse_point(at) if at is not None else None, without_failed)


def clear(
    what: Annotated[
        str, typer.Argument(help="failed (also out of memory, diverged), or the id of a run")
    ],
    results: Annotated[Path, typer.Option(help="where runs are looked for")] = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete the folders of failed runs, or of one run, after showing them and asking."""
    from benchmark.commands.clear import clear as delete

    delete(what, results, yes, out)


def show(
    what: Annotated[
        str,
        typer.Argument(
            help="a detector, loss, dataset, protocol or recipe by name; or a run: its folder, "
            "record.json or id"
        ),
    ],
    results: Annotated[Path, RESULTS] = Path("results"),
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Show everything about one detector, loss, dataset or run."""
    from benchmark.commands.listing import print_entry, print_run

    if not print_entry(what, plugins, out):
        print_run(what, results, out)


def profile(
    detectors: Annotated[
        str, typer.Option("--detectors", "--detector", help="names, comma lists, wildcards or all")
    ] = "all",
    side: Annotated[int, typer.Option(min=16, help="side of the square input, px")] = 256,
    batch: Annotated[
        int | None,
        typer.Option(min=2, help="batch for the throughput; default 8 on a GPU, 4 on a CPU"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:K")] = "auto",
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
    from benchmark.commands.listing import load_plugins
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


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="images, or folders of images")],
    run: Annotated[str | None, RUN] = None,
    detector: Annotated[str | None, DETECTOR] = None,
    weights: Annotated[Path | None, WEIGHTS] = None,
    output: Annotated[Path, typer.Option(help="folder for the results")] = Path("predictions"),
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="a pixel is a target above this probability")
    ] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:K")] = "auto",
    overlay: Annotated[bool, typer.Option(help="draw the overlay pictures")] = True,
    results: Annotated[Path, RESULTS] = Path("results"),
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Detect targets in images: probability maps, masks, overlays, a table of components.

    Examples:

      python run_benchmark.py predict images/ --run 4f1c2a --output out

      python run_benchmark.py predict a.png b.png --detector mshnet --weights weight.pkl
    """
    from benchmark.commands.listing import load_plugins
    from benchmark.networks.predict import predict_files
    from benchmark.networks.source import load_source

    load_plugins(plugins)
    source = load_source(run, detector, weights, results)
    predict_files(source, inputs, output, threshold, device, overlay, out)


def evaluate(
    predictions: Annotated[
        Path,
        typer.Option(
            help="folder with one map per image, named as the image (also IMAGE_pred, ...): PNG or "
            "BMP, TIFF, or .npy; 8 and 16 bits are scaled to [0, 1], floats are probabilities"
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(rich_help_panel=TRUTH, help="score its test split, e.g. sirst:idx_320"),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=TRUTH,
            help="folder with the downloaded datasets; or set IRSTD_DATA_ROOT",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(rich_help_panel=TRUTH, help="score what has a mask here, named as the image"),
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", "--protocols", help="names by comma, or all; see list")
    ] = "native",
    thresholds: Annotated[
        str,
        typer.Option(help="of the Pd-Fa curve: standard, or distinct for every value of the maps"),
    ] = "standard",
    name: Annotated[
        str | None,
        typer.Option(rich_help_panel=TABLES, help="detector; the folder's name by default"),
    ] = None,
    loss: Annotated[
        str, typer.Option(rich_help_panel=TABLES, help="what it was trained with")
    ] = "external",
    seed: Annotated[
        int, typer.Option(min=0, rich_help_panel=TABLES, help="seeds of a method share a mean")
    ] = 0,
    recipe: Annotated[
        str,
        typer.Option(
            rich_help_panel=TABLES,
            help="to stand in the table of runs, what its title says, e.g. mshnet",
        ),
    ] = "external",
    selection: Annotated[
        str,
        typer.Option(
            rich_help_panel=TABLES,
            help="which epoch predicted: last, best-val, or best-test (chosen on these images)",
        ),
    ] = "last",
    output: Annotated[
        Path, typer.Option(help="folder for the record; that of runs puts it beside them")
    ] = Path("results/evaluate"),
    report: Annotated[bool, typer.Option(help="print and write the tables of OUTPUT")] = True,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Score predictions that anyone made, by the same rules and into the same tables as a run.

    Examples:

      python run_benchmark.py evaluate --predictions maps/ --masks SIRST/masks --name my_net

      python run_benchmark.py evaluate --predictions maps/ --dataset sirst --data-root DIR
      --protocol all --name my_net --seed 1

    To compare it with runs in results/standard, add --output results/standard --recipe mshnet
    --selection best-val: a table has one test set, protocol, recipe and rule of selection.
    """
    from benchmark.commands.listing import load_plugins
    from benchmark.foreign.evaluate import Method, metrics_line, read_dataset, read_masks
    from benchmark.foreign.evaluate import evaluate as score
    from benchmark.report import write_report

    load_plugins(plugins)
    method = Method(name or predictions.resolve().name, loss, seed, recipe, selection)
    if (dataset is None) == (masks is None):
        raise UserError("evaluate: give either --dataset NAME or --masks DIR, to score against")
    if dataset is not None:
        truth = read_dataset(dataset, data_root)
    else:
        assert masks is not None
        truth = read_masks(masks, out)
    record = score(predictions, truth, method, protocol, output, thresholds, out)
    if report:
        write_report(output, out)
        return
    for scores in record.scores.values():
        say(out, metrics_line(scores))


def export(
    output: Annotated[Path, typer.Argument(help="the .onnx file to write")],
    run: Annotated[str | None, RUN] = None,
    detector: Annotated[str | None, DETECTOR] = None,
    weights: Annotated[Path | None, WEIGHTS] = None,
    side: Annotated[int, typer.Option(min=16, help="side of the example input, px")] = 256,
    results: Annotated[Path, RESULTS] = Path("results"),
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Export a network as ONNX: grey image in [0, 1] to target probability.

    Checked against onnxruntime where that is installed (pip install onnx onnxscript onnxruntime).
    """
    from benchmark.commands.listing import load_plugins
    from benchmark.networks.onnx import export_onnx
    from benchmark.networks.source import load_source

    load_plugins(plugins)
    export_onnx(load_source(run, detector, weights, results), output, side, out)


def docs(
    folder: Annotated[Path, typer.Argument(help="where to")] = Path("docs"),
    data_root: Annotated[
        Path | None,
        typer.Option(help="folder with the real SIRST images; then the page on the synthetic set"),
    ] = None,
) -> None:
    """Write the computed pages of docs/: protocols by eye, what seeds buy, losses.

    With --data-root DIR instead the page that puts the synthetic set beside the SIRST images of
    that folder: it is left alone without them (IRSTD_DATA_ROOT does not count here).
    """
    from docs.build import write_docs, write_synthetic

    if data_root is None:
        write_docs(folder, out)
    else:
        write_synthetic(folder, data_root, out)


def losses(
    names: Annotated[
        str, typer.Option("--losses", "--loss", help="names, comma lists, wildcards; '*' is all")
    ] = "*",
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="draw them while a disc grows and moves"),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """What losses make of right, empty and wrong predictions; with --plot, their curves.

    Examples:

      python run_benchmark.py losses

      python run_benchmark.py losses --losses sls,sls_centroid:per_target=true --plot a.png

    docs/losses.md explains what to see.
    """
    from benchmark.commands.listing import load_plugins
    from docs.build.losses import plot_losses, print_losses
    from losses import REGISTRY

    load_plugins(plugins)
    chosen = REGISTRY.match([names])
    if plot is None:
        print_losses(chosen, out)
        return
    plot_losses(chosen, plot, out)
