"""The `datasets` commands: what data there is, where to get it, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.others import PLUGINS, out

DATA_ROOT = typer.Option(help="folder with the downloaded data sets; or set IRSTD_DATA_ROOT")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def datasets() -> None:
    """What data there is, where to get it, what it looks like, and what is wrong with it."""


@app.command("list")
def list_(
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="folder with the downloaded data sets, or one of them: says what is there; "
            "or set IRSTD_DATA_ROOT"
        ),
    ] = None,
) -> None:
    """List the data sets, where to get them, and which are on this disk.

    A data root holds the folders of the sets (SIRST/, IRSTD-1k/, ...), or is
    one of these. Your own images and masks are read as [cyan]folder:PATH[/cyan].

    \b
      python run_benchmark.py datasets list
      python run_benchmark.py datasets list --data-root ~/data

    Images are decoded once and then read from a cache in ~/.cache/irstd-bench;
    IRSTD_CACHE names another folder, IRSTD_CACHE=off does without.
    """
    from benchmark.data.list import print_datasets

    root = data_root or os.environ.get("IRSTD_DATA_ROOT") or None
    print_datasets(None if root is None else Path(root), out)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="data set, e.g. sirst; see `datasets list`")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    url: Annotated[
        str | None,
        typer.Option(help="take the archive from here: a mirror's address, or a file you have"),
    ] = None,
) -> None:
    """Download a data set, or say how to, and check that it is complete.

    SIRST is downloaded from its public repository into DIR/SIRST. Every file is
    compared with a known checksum, so that any mirror will do. The same command
    continues an interrupted download where it stopped, if the server can do that,
    and starts again else. What is there is never overwritten, only checked.

    For sets that their authors keep behind drive links, the steps and the folder
    are printed, and whether the files are there.

    Exit code: 0 it is there and complete, 1 it is not there, 2 the download
    failed or a file is wrong.

    \b
      python run_benchmark.py datasets get sirst --data-root data
      python run_benchmark.py datasets get sirst --data-root data --url sirst.zip
      python run_benchmark.py datasets get irstd1k --data-root data
    """
    from benchmark.data.get import get_dataset

    raise typer.Exit(get_dataset(name, data_root, url, out))


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="data set, e.g. sirst, sirst:idx_320 or folder:PATH")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write all findings here, too")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="look for images shared with these sets, too: names by comma, or all that are "
            "below the data root",
        ),
    ] = None,
) -> None:
    """Check the files of a data set, and look for images that it has twice or shares.

    [red]Errors[/] make numbers wrong: files that are missing or cannot be read, masks of
    another size than their image or with more target than background, images that
    are in the training and in the test part.

    [yellow]Warnings[/] should be known: masks that are empty, grey or large, equal images,
    frames of one scene in training and test part, images that another set trains
    on.

    [cyan]Notes[/] are harmless here: files in no list, frames of one scene within a part.

    Frames of one scene are found by a perceptual hash and confirmed by a
    correlation (r), also where one is cropped, shifted by up to a fifth, or of
    another brightness; not where it is turned, mirrored or scaled.

    Exit code: 0 without errors (warnings and notes do not count), 1 with errors,
    2 if there is nothing to audit.

    \b
      python run_benchmark.py datasets audit sirst --data-root data
      python run_benchmark.py datasets audit sirst --data-root data --against all
    """
    from benchmark.data.audit import audit_dataset

    raise typer.Exit(audit_dataset(name, data_root, json, against, out))


NAMED = "NAME, NAME:VARIANT or NAME:OPTION=VALUE; @SPLIT picks the part, e.g. sirst:idx_320@all"


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help=NAMED)],
    split: Annotated[
        str | None,
        typer.Option(
            help="e.g. trainval, or all for training and test together; the test split by default"
        ),
    ] = None,
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="the contact sheet; default: results/datasets/NAME-SPLIT.png"
        ),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Show what a data set looks like: a contact sheet, histograms, and its numbers.

    The sheet has 12 images, evenly spaced from the smallest first target to the largest. Histograms
    of size, SCR, contrast and place of the targets, and of the images, go to FILE-statistics.png.

    Examples:

      python run_benchmark.py datasets show synthetic

      python run_benchmark.py datasets show sirst --split all --data-root DIR
    """
    from benchmark.commands.listing import load_plugins
    from benchmark.data.figures.commands import show_set

    load_plugins(plugins)
    show_set(name if split is None else f"{name}@{split}", data_root, output, out)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=NAMED)],
    second: Annotated[str, typer.Argument(metavar="B", help="likewise; the one compared with")],
    data_root: Annotated[Path | None, DATA_ROOT] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="the figure, with the table beside it as FILE.csv; default: "
            "results/datasets/A-vs-B.png",
        ),
    ] = None,
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """Put two data sets side by side: crops, histograms, spectra, and how much they overlap.

    The overlap is that of the histograms: 1 if they are the same, 0 if they have nothing in common.
    The ceiling beside it is what two sets of these sizes reach that are both drawn from B. Without
    @SPLIT it is the test split.

    Examples:

      python run_benchmark.py datasets compare synthetic@train sirst@trainval --data-root DIR

      python run_benchmark.py datasets compare sirst@trainval sirst@test --data-root DIR
    """
    from benchmark.commands.listing import load_plugins
    from benchmark.data.figures.commands import compare_sets

    load_plugins(plugins)
    compare_sets(first, second, data_root, output, out)


@app.command()
def export(
    name: Annotated[
        str, typer.Argument(help="synthetic, with level and options behind colons if you like")
    ],
    folder: Annotated[Path, typer.Argument(help="folder to write to; new or empty")],
    force: Annotated[bool, typer.Option("--force", help="replace an earlier export there")] = False,
) -> None:
    """Write the synthetic set as files: images, masks, lists and a README.

    Levels: standard (the default), easy, hard. Options: size (side, px), train and
    test (images), seed, bits (8 or 14). --dataset takes the same names.

    Examples:

      python run_benchmark.py datasets export synthetic data/synthetic

      python run_benchmark.py datasets export synthetic:hard:size=256:train=1000 data/hard
    """
    from benchmark.data.export import export_synthetic

    export_synthetic(name, folder, force, out)
