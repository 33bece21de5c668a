"""The computed pages in `docs/`: protocols by eye, what seeds buy, losses, the synthetic set."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmark.console import say


def write_docs(folder: Path, console: Console) -> list[Path]:
    """Write `protocols.md`, `seeds.md` and `losses.md` and pictures; the same bytes every time.

    Args:
        folder: where to; made if it is not there.
        console: where the list of written files goes.

    Returns:
        The files written.

    Raises:
        OSError: a file cannot be written.
    """
    # Here, not at the top: whoever imports the package need not wait for matplotlib and torch.
    from benchmark.figures import losses as losses_figure
    from benchmark.figures.png import png
    from benchmark.figures.style import drawing
    from docs.build import gallery, losses, protocols, seeds, seeds_figure

    contents: dict[str, str | bytes] = {
        "protocols.md": protocols.page(),
        "seeds.md": seeds.page(),
        "losses.md": losses.page(),
    }
    with drawing():
        for group in protocols.GROUPS:
            contents[group.picture] = png(gallery.gallery_figure(group.scenes, group.columns))
        contents["seeds.png"] = png(seeds_figure.seeds_figure())
        for name, figure in zip(losses.PICTURES, losses_figure.figures(losses.SHOWN), strict=True):
            contents[name] = png(figure)
    return _write(folder, contents, console)


def write_synthetic(folder: Path, root: Path, console: Console) -> list[Path]:
    """Write `synthetic.md` with its pictures: the synthetic set beside the real SIRST images.

    Args:
        folder: where to; made if it is not there.
        root: folder that holds SIRST.
        console: where the list of written files goes.

    Returns:
        The files written.

    Raises:
        UserError: SIRST is not there, or a file of it is broken.
        OSError: a file cannot be written.
    """
    from docs.build.synthetic import contents

    return _write(folder, contents(root, console), console)


def _write(folder: Path, contents: dict[str, str | bytes], console: Console) -> list[Path]:
    """Write files by name; returns their paths."""
    from benchmark.records.store import write_atomic

    for name, content in contents.items():
        write_atomic(folder / name, content)
        say(console, f"wrote {folder / name}")
    return [folder / name for name in contents]
