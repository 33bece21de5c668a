"""The command line. Nothing here imports torch: help, list, --dry-run and report are fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmark import __version__
from benchmark.commands import datasets as dataset_commands
from benchmark.commands import others as commands
from benchmark.errors import UserError, describe_os_error
from benchmark.settings.config import Plan, Settings, parse_set

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
err = Console(stderr=True, soft_wrap=True)

EPILOG = """
[bold]Examples[/]

  python run_benchmark.py --detectors all --loss sls

  python run_benchmark.py --detectors mshnet,acm --loss sls,soft_iou --dataset sirst --data-root DIR

  python run_benchmark.py --preset standard --seeds 0,1,2 --device cuda:0,1 --dry-run

  python run_benchmark.py --detectors mshnet --weights weight.pkl --epochs 0 --dataset sirst

  python run_benchmark.py evaluate --predictions maps/ --dataset sirst --data-root DIR

  python run_benchmark.py report results/quick

Finished cells are skipped, so the same command resumes after Ctrl-C or a crash.
"""

OTHER_SETTINGS = ", ".join(key for key in Settings.model_fields if key != "weights")
WHAT, HOW, WHERE = "What to run", "Training (each overrides the recipe)", "Where to run"


def _about(key: str) -> str:
    return str(Settings.model_fields[key].description)


def _where(key: str) -> str:
    return str(Plan.model_fields[key].description)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def benchmark(
    context: typer.Context,
    detectors: Annotated[
        str | None,
        typer.Option("--detectors", "--detector", rich_help_panel=WHAT,
                     help="names, comma lists, wildcards ('ms*'), all, baseline or classical; "
                     "variants and options behind a colon: acm:port, mshnet:scales=2"),
    ] = None,
    losses: Annotated[
        str | None,
        typer.Option("--losses", "--loss", rich_help_panel=WHAT,
                     help="the same for losses; published: each detector's own"),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option("--datasets", "--dataset", rich_help_panel=WHAT,
                     help="the same for datasets; sirst:idx_320 picks a split list, "
                     "folder:PATH is your own images and masks"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", "--seed", rich_help_panel=WHAT, help="e.g. 0,1,2"),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(rich_help_panel=WHAT,
                     help="what to run: quick, laptop, standard, published, ablation or a .yaml "
                     "file with these options as keys"),
    ] = "quick",
    recipe: Annotated[
        str | None,
        typer.Option(rich_help_panel=HOW,
                     help="how to train: published (each detector's own), mshnet, basicirstd, ... "
                     "or a .yaml file; `list recipes` explains them [default: the preset's]"),
    ] = None,
    protocols: Annotated[
        str | None,
        typer.Option("--protocols", "--protocol", rich_help_panel=WHAT,
                     help="scoring rules, comma list or all (`list protocols` explains them)"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(rich_help_panel=WHAT, help=_about("limit"))
    ] = None,
    plugins: Annotated[
        Path | None,
        typer.Option(rich_help_panel=WHAT, help="folder with detectors or losses of your own"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(rich_help_panel=HOW, help=_about("epochs"))] = None,
    batch_size: Annotated[
        int | None, typer.Option(rich_help_panel=HOW, help=_about("batch_size"))
    ] = None,
    lr: Annotated[float | None, typer.Option(rich_help_panel=HOW, help=_about("lr"))] = None,
    crop_size: Annotated[
        int | None, typer.Option(rich_help_panel=HOW, help=_about("crop_size"))
    ] = None,
    precision: Annotated[
        str | None, typer.Option(rich_help_panel=HOW, help="auto, fp32 or bf16; " +
                                 _about("precision"))
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", rich_help_panel=HOW,
                     help="any other setting: " + OTHER_SETTINGS),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(rich_help_panel=WHERE,
                     help="folder with the downloaded datasets; or set IRSTD_DATA_ROOT"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(rich_help_panel=HOW,
                     help="start from this checkpoint (one detector; official ones load as they "
                     "are); with --epochs 0 it is only scored"),
    ] = None,
    allow_leakage: Annotated[
        bool | None,
        typer.Option("--allow-leakage", rich_help_panel=HOW,
                     help="score even images that were trained on; the tables mark it"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(rich_help_panel=WHERE, help="default: results/<preset>")
    ] = None,
    device: Annotated[
        str | None, typer.Option(rich_help_panel=WHERE, help="auto, cpu, cuda or cuda:0,1")
    ] = None,
    jobs_per_device: Annotated[
        str | None,
        typer.Option(metavar="N", rich_help_panel=WHERE, help=_where("jobs_per_device")),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="9m", rich_help_panel=WHERE, help=_where("time_limit")),
    ] = None,
    cuda_graph: Annotated[
        str | None, typer.Option(rich_help_panel=WHERE, help="off or auto; " + _where("cuda_graph"))
    ] = None,
    profile: Annotated[
        bool | None,
        typer.Option(rich_help_panel=WHERE,
                     help="measure each detector's latency after the runs [default: profile]"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", rich_help_panel=WHERE,
                     help="print the matrix, what was found and how long it takes, and stop"),
    ] = False,
    measure: Annotated[
        bool,
        typer.Option("--measure", rich_help_panel=WHERE,
                     help="with --dry-run: measure this device for the time, some seconds"),
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:  # fmt: skip
    """Benchmark infrared small target detectors: detectors x losses x datasets x seeds.

    Trains and scores every cell, and makes paper-style tables and Pd-Fa curves of the records.
    Without options: all detectors with the SLS loss on a synthetic set, minutes on a laptop.
    """
    if context.invoked_subcommand is not None:
        return
    if version:
        commands.out.print(f"irstd-bench {__version__}")
        return
    given = {
        "detectors": detectors, "losses": losses, "datasets": datasets, "seeds": seeds,
        "limit": limit, "plugins": plugins, "epochs": epochs, "batch_size": batch_size, "lr": lr,
        "crop_size": crop_size, "precision": precision, "data_root": data_root, "output": output,
        "device": device, "jobs_per_device": jobs_per_device, "time_limit": time_limit,
        "cuda_graph": cuda_graph,
        "weights": weights, "profile": profile, "protocols": protocols,
        "allow_leakage": allow_leakage, "recipe": recipe,
    }  # fmt: skip
    options = {k: v for k, v in given.items() if v is not None}
    options |= parse_set(set_ or [])
    from benchmark.launch import launch

    raise typer.Exit(launch(preset, options, dry_run, measure, commands.out))


app.command(name="list")(commands.list_)
for command in (
    commands.show, commands.report, commands.profile, commands.predict, commands.evaluate,
    commands.export, commands.docs, commands.losses, commands.clear,
):  # fmt: skip
    app.command()(command)
app.add_typer(dataset_commands.app, name="datasets")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit code: 0 good, 1 cells failed, 2 a user's mistake, 75 the time was over before all
            cells were done, 130 Ctrl-C.
    """
    command = typer.main.get_command(app)
    try:
        result = command.main(arguments, prog_name="run_benchmark.py", standalone_mode=False)
        return int(result or 0)
    except UserError as error:
        for problem in error.args:
            err.print("[red]error:[/] ", end="")
            err.print(problem, markup=False, highlight=False)
        return 2
    except OSError as error:
        err.print("[red]error:[/] ", end="")
        err.print(describe_os_error(error), markup=False, highlight=False)
        return 2
    except Exception as error:
        return _usage_error(error)


def _usage_error(error: Exception) -> int:
    """Show an error of the option parser in one line; anything else is a bug and is raised."""
    show_error: Any = getattr(error, "format_message", None)
    if show_error is None:
        raise error
    err.print("[red]error:[/] ", end="")
    err.print(show_error(), markup=False, highlight=False)
    return getattr(error, "exit_code", 2)
