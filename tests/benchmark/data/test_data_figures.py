"""`datasets show` and `datasets compare`: through the command line, and what is in the pictures."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageColor
from rich.console import Console

from benchmark.commands import options
from benchmark.commands.main import main
from benchmark.data.figures.cells import around, chosen, window
from benchmark.data.figures.named_set import read_set, split_name
from benchmark.data.figures.panels import draw_histogram
from benchmark.data.figures.quantities import (
    AREA,
    COMPARED,
    COUNT,
    POWER,
    ceiling,
    overlap_of,
)
from benchmark.data.figures.sheet import FIRST, OTHERS, contact_sheet
from benchmark.figures import png as pictures
from benchmark.figures import style
from benchmark.figures.pixels import outline, stretch
from benchmark.figures.style import PAGE, drawing
from datasets.base import Sample
from datasets.statistics import measure
from docs.build import synthetic

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"
ONE = ((20, 30, 2, 3),)
TWO = ((10, 12, 4, 4), (30, 40, 3, 3))


def write_sirst(root: Path, test, trainval=((ONE, (48, 64), np.uint8),)) -> Path:
    """The layout of SIRST with images of (boxes of targets, shape, type)."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks", "idx_427"):
        (root / "SIRST" / part).mkdir(parents=True)
    for split, images in (("test", test), ("trainval", trainval)):
        names = [f"{split}_{i}" for i in range(len(images))]
        (root / "SIRST" / "idx_427" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name, (boxes, shape, dtype) in zip(names, images, strict=True):
            full = np.iinfo(dtype).max
            image = np.rint(full * (0.3 + 0.02 * rng.standard_normal(shape)))
            mask = np.zeros(shape, np.uint8)
            for row, column, height, width in boxes:
                image[row : row + height, column : column + width] = 0.9 * full
                mask[row : row + height, column : column + width] = 255
            Image.fromarray(image.astype(dtype)).save(root / "SIRST" / "images" / f"{name}.png")
            Image.fromarray(mask).save(root / "SIRST" / "masks" / f"{name}_pixels0.png")
    return root


@pytest.fixture
def mixed(tmp_path):
    """Sizes, bit depths and numbers of targets that differ, also none."""
    return write_sirst(
        tmp_path / "data",
        [
            (ONE, (48, 64), np.uint8),
            (TWO, (120, 90), np.uint16),
            ((), (64, 64), np.uint8),
            (((0, 0, 9, 9), (40, 40, 1, 1), (20, 50, 2, 2)), (50, 70), np.uint8),
        ],
    )


def run(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(options.out, "width", 200)
    code = main(["datasets", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def pixels_of(picture: np.ndarray, color: str) -> int:
    return int((picture == np.array(ImageColor.getrgb(color))).all(axis=2).sum())


@pytest.fixture
def coarse(monkeypatch):
    """Pictures are drawn at a third of the resolution, which is faster."""
    monkeypatch.setattr(style, "DPI", 100)


def read_picture(path: Path) -> np.ndarray:
    """A page wide, and not all white."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    height, width, _ = picture.shape
    assert abs(width - PAGE * style.DPI) <= 1
    assert 0.1 < height / width < 1.4
    assert picture.std() > 10
    return picture


def test_show(mixed, tmp_path, capsys, monkeypatch) -> None:
    output = tmp_path / "out" / "sheet.png"
    code, out, _ = run(
        capsys, monkeypatch, "show", "sirst", "--data-root", mixed, "--output", output
    )
    assert code == 0
    assert f"wrote {output}" in out
    assert "4 (test 4), stored in 8 and 16 bits" in out
    assert "6; images without any: 1" in out
    line = next(line for line in out.splitlines() if "Target size (px)" in line)
    assert [float(number) for number in line.split()[3:]] == [1, 1.75, 4.5, 7.5, 14.2, 64.8, 81]
    sheet = read_picture(output)
    assert pixels_of(sheet, FIRST) > 2000
    assert pixels_of(sheet, OTHERS) > 500
    read_picture(output.with_name("sheet-statistics.png"))
    assert len(list(output.parent.iterdir())) == 2


@pytest.mark.usefixtures("coarse")
def test_show_all_and_default_output(mixed, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IRSTD_DATA_ROOT", str(mixed))
    code, out, _ = run(capsys, monkeypatch, "show", "sirst", "--split", "all")
    assert code == 0
    assert "5 (trainval 1, test 4)" in out
    assert "wrote results/datasets/sirst-all.png" in out
    read_picture(tmp_path / "results/datasets/sirst-all-statistics.png")


@pytest.mark.usefixtures("coarse")
def test_a_set_without_targets(tmp_path, capsys, monkeypatch) -> None:
    root = write_sirst(tmp_path / "data", [((), (40, 50), np.uint8)])
    output = tmp_path / "a.png"
    code, out, _ = run(
        capsys, monkeypatch, "show", "sirst@test", "--data-root", root, "--output", output
    )
    assert code == 0
    assert "0; images without any: 1" in out
    sheet = read_picture(output)
    assert pixels_of(sheet, FIRST) == pixels_of(sheet, OTHERS) == 0
    read_picture(tmp_path / "a-statistics.png")
    code, out, _ = run(
        capsys, monkeypatch, "compare", "sirst@test", "sirst@trainval",
        "--data-root", root, "--output", output,
    )  # fmt: skip
    assert code == 0
    table = read_table(tmp_path / "a.csv")
    assert table["area"]["overlap"] == ""
    assert table["targets"]["overlap"] == "0"
    read_picture(output)


def read_table(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["quantity"]: row for row in csv.DictReader(file)}


@pytest.mark.usefixtures("coarse")
def test_compare(mixed, tmp_path, capsys, monkeypatch) -> None:
    output = tmp_path / "b.png"
    code, out, _ = run(
        capsys, monkeypatch, "compare", "synthetic", "sirst@all",
        "--data-root", mixed, "--output", output,
    )  # fmt: skip
    assert code == 0
    assert f"wrote {output}" in out
    assert f"wrote {tmp_path / 'b.csv'}" in out
    picture = read_picture(output)
    table = read_table(tmp_path / "b.csv")
    assert list(table) == [quantity.key for quantity in COMPARED]
    assert float(table["area"]["sirst@all 50 %"]) == 6  # of 1, 4, 6, 6, 9, 16, 81
    a, b = (read_set(name, mixed, Console(quiet=True)).statistics for name in
            ("synthetic", "sirst@all"))  # fmt: skip
    for quantity in COMPARED:
        expected = overlap_of(quantity, quantity.values(a), quantity.values(b))
        assert float(table[quantity.key]["overlap"]) == pytest.approx(expected, abs=1e-4)
    # The upper part holds the crops, of which most are grey.
    grey = (picture.max(axis=2) - picture.min(axis=2) == 0) & (picture[..., 0] > 20)
    assert (grey & (picture[..., 0] < 230))[: picture.shape[0] // 4].mean() > 0.3


@pytest.mark.usefixtures("coarse")
def test_a_set_is_like_itself(mixed, tmp_path, capsys, monkeypatch) -> None:
    arguments = ("sirst", "sirst@test", "--data-root", mixed, "--output", tmp_path / "c.png")
    assert run(capsys, monkeypatch, "compare", *arguments)[0] == 0
    assert {row["overlap"] for row in read_table(tmp_path / "c.csv").values()} == {"1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "sirts"], "unknown dataset 'sirts'; did you mean 'sirst'?"),
        (["show", "sirst"], "say where with --data-root DIR or IRSTD_DATA_ROOT"),
        (["show", "synthetic", "--split", "tset"], "has no split 'tset'"),
        (["show", "synthetic", "--output", "a.jpg"], "--output a.jpg: the picture is a PNG"),
        (["compare", "synthetic", "sirst@al"], "--data-root"),
        (["compare", "synthetic@", "synthetic"], "unknown dataset 'synthetic@'"),
        (["compare", "synthetic"], "Missing argument 'B'"),
    ],
)
def test_mistakes_give_one_line(arguments, message, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)
    code, _, err = run(capsys, monkeypatch, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sirst", ("sirst", None)),
        ("sirst@trainval", ("sirst", "trainval")),
        ("sirst:idx_320@all", ("sirst:idx_320", "all")),
        ("folder:/a@b/c", ("folder:/a@b/c", None)),
        ("folder:/a@b/c@train", ("folder:/a@b/c", "train")),
    ],
)
def test_split_name(text, parts) -> None:
    assert split_name(text) == parts


def test_chosen_images_go_from_the_smallest_first_target_to_the_largest(mixed) -> None:
    subject = read_set("sirst", mixed, Console(quiet=True))
    assert chosen(subject, 12) == [2, 0, 1, 3]  # first targets of 0, 6, 16 and 81 px
    assert chosen(subject, 2) == [2, 3]


def test_windows_stay_in_the_image() -> None:
    target = (slice(2, 4), slice(58, 60))
    assert around(target, (100, 60)) == (slice(0, 24), slice(36, 60))
    assert around((slice(40, 60), slice(30, 34)), (100, 60)) == (slice(20, 80), slice(0, 60))
    assert window(target, (10, 60), 16) == (slice(0, 10), slice(44, 60))


def test_two_sets_are_drawn_also_where_they_are_the_same(mixed) -> None:
    statistics = read_set("sirst", mixed, Console(quiet=True)).statistics
    axes = Figure().add_subplot()
    draw_histogram(axes, [statistics, statistics], AREA)
    assert len(axes.patches) == 4  # area and line of each
    heights, edges, _ = axes.patches[0].get_data()
    assert sum(heights) == pytest.approx(100)
    assert heights[list(edges).index(1)] == pytest.approx(100 / 6)  # the target of 1 px
    low, high = axes.get_xlim()
    assert low == 1
    assert 81 < high < 256


def test_outline_runs_along_the_edges_of_pixels() -> None:
    figure = Figure(figsize=(1, 1), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    mask = np.zeros((10, 10), bool)
    mask[3:5, 4] = mask[0, 0] = True
    outline(axes, mask, FIRST, "-", 2.0)
    axes.set(xlim=(-0.5, 9.5), ylim=(9.5, -0.5))
    axes.axis("off")
    segments = axes.collections[0].get_segments()
    assert len(segments) == 6 + 4
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    pink = np.array(ImageColor.getrgb(FIRST))
    for y, x in ((35, 40), (35, 50), (30, 45), (50, 45)):
        assert np.abs(drawn[y - 1 : y + 2, x - 1 : x + 2] - pink.astype(float)).sum(2).min() < 60
    assert (drawn[40, 45] == 255).all()  # nothing between the two pixels


def test_the_sheet_marks_every_target_and_outlines_the_first(mixed) -> None:
    subject = read_set("sirst", mixed, Console(quiet=True))
    with drawing():
        figure = contact_sheet(subject)
    marks = [patch.get_edgecolor() for axes in figure.axes for patch in axes.patches]
    assert len(marks) == 6
    insets = [axes for axes in figure.axes if axes.collections]
    assert len(insets) == 3
    perimeters = [len(axes.collections[0].get_segments()) for axes in insets]
    assert perimeters == [10, 16, 36]  # 2 x 3, 4 x 4 and 9 x 9 px


def test_ceiling_grows_with_the_sets_and_is_reached_by_a_set_drawn_alike() -> None:
    few = read_set("synthetic:train=40@train", None, Console(quiet=True)).statistics
    many = read_set("synthetic:train=160@train", None, Console(quiet=True)).statistics
    other = read_set("synthetic:train=160:seed=1@train", None, Console(quiet=True)).statistics
    for quantity in (AREA, COUNT, POWER):
        assert 0.5 < ceiling(quantity, few, few) < ceiling(quantity, many, many) < 1
        assert ceiling(quantity, many, many) == ceiling(quantity, many, many)
        found = overlap_of(quantity, quantity.values(other), quantity.values(many))
        assert found == pytest.approx(ceiling(quantity, other, many), abs=0.08)


def test_ceiling_by_hand(mixed) -> None:
    """One image is drawn again and again; a set without targets says nothing of them."""
    subject = read_set("sirst@trainval", mixed, Console(quiet=True))
    assert subject.heading == "SIRST, trainval: 1 image, 1 target"
    one = subject.statistics
    assert ceiling(AREA, one, one) == 1
    none = measure([Sample(np.eye(40, dtype=np.uint8), np.zeros((40, 40), bool), "a")])
    assert np.isnan(ceiling(AREA, one, none))
    assert ceiling(COUNT, one, none) == 1


def test_stretch_of_16_bits_and_of_a_flat_image() -> None:
    image = np.arange(1000, 41000, 100, dtype=np.uint16).reshape(20, 20)
    stretched = stretch(image)
    assert stretched.min() == 0
    assert stretched.max() == 1
    assert (stretch(np.full((5, 5), 7, np.uint8)) == 0).all()


@pytest.mark.usefixtures("coarse")
def test_the_page_on_the_synthetic_set(mixed, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "DPI", 60)
    monkeypatch.setattr(synthetic, "OURS", "synthetic:train=20@train")
    assert main(["docs", str(tmp_path / "docs"), "--data-root", str(mixed)]) == 0
    page = (tmp_path / "docs" / "synthetic.md").read_text()
    alike = page.partition("**Alike**")[2].partition("**Not alike**")[0].lower()
    apart = page.partition("**Not alike**")[2].partition("\nSCR is")[0]
    for quantity in COMPARED:
        assert f"\n| {quantity.label} |" in page
        found = f"{quantity.title.lower()} (" in alike, f"\n- {quantity.title}: " in apart
        assert sum(found) == 1, quantity.title
    assert "`synthetic:train=20@train`, 20 images | `sirst@trainval`, 1 images" in page
    for name in re.findall(r"\]\((\w+\.png)\)", page):
        with Image.open(tmp_path / "docs" / name) as image:
            assert image.width == pytest.approx(PAGE * 60, abs=1)


def test_docs_without_data_leave_that_page_alone(tmp_path, monkeypatch) -> None:
    """Also where a data root is in the environment: `make docs` is the same everywhere."""
    called = []
    monkeypatch.setenv("IRSTD_DATA_ROOT", str(tmp_path))
    monkeypatch.setattr("docs.build.write_docs", lambda folder, _: called.append(folder))
    assert main(["docs", str(tmp_path)]) == 0
    assert called == [tmp_path]


@pytest.mark.skipif(not (REAL / "SIRST").is_dir(), reason="the real SIRST images are not there")
def test_numbers_of_the_real_test_images() -> None:
    """Counted by other means: the reports score 109 targets on 86 images."""
    statistics = read_set("sirst", REAL, Console(quiet=True)).statistics
    assert len(statistics.images.targets) == 86
    assert len(statistics.targets.area) == statistics.images.targets.sum() == 109
    assert not np.isnan(statistics.spectra[:, 4:]).any()
