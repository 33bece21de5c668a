"""The leaderboard in its four formats, and the published numbers beside it."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from benchmark.commands.show import print_run
from benchmark.errors import UserError
from benchmark.report import write_report
from benchmark.report.captions import notes
from benchmark.report.collect import collect
from benchmark.report.columns import COLUMNS, CURVE_COLUMNS, columns_of, marks
from benchmark.report.latex import latex, tex_escape
from benchmark.report.model import Collection
from benchmark.report.published import published_section
from benchmark.report.tables import csv_text, markdown, print_tables
from tests.benchmark.report.test_report_sweep import make_record, score_also, write, write_sweep

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "published" / "results.csv"


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return collect(write_sweep(tmp_path / "out"))


def _terminal(collection: Collection, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    print_tables(collection, console)
    return console.file.getvalue()


def _markdown_rows(text: str) -> dict[tuple[str, str], list[str]]:
    first, _, _ = text.partition("### ")
    lines = [line for line in first.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(row[0], row[1]): row[2:] for row in cells}


def test_markdown_cells(collection: Collection) -> None:
    rows = _markdown_rows(markdown(collection, [], ""))
    assert rows["mshnet", "sls"][:2] == ["3", "**72.00 ± 2.00**"]
    assert rows["mshnet", "soft_iou"][:2] == ["2, failed (1 of 3)", "<u>69.00 ± 1.41</u>"]
    assert rows["acm", "sls"][1] == "60.00 ± 0.00"
    dashes = ["—"] * len(columns_of(collection.tables[0]))
    assert rows["acm", "soft_iou"] == ["oom (3 of 3)", *dashes]
    # Fa: lower is better, two methods tie at 10.00 and share the first rank.
    assert rows["mshnet", "sls"][7] == rows["mshnet", "soft_iou"][7] == "**10.00 ± 0.00**"
    assert rows["acm", "sls"][7] == "<u>30.00 ± 0.00</u>"
    # All equal, or no better direction: nothing is marked.
    assert rows["mshnet", "sls"][6] == "50.00 ± 0.00"
    assert rows["mshnet", "sls"][9:] == ["307", "4.07", "6.11", "12.21", "—", "10 min"]


def test_caption_names_what_decides_the_numbers(collection: Collection) -> None:
    text = markdown(collection, [], "")
    parts = "sirst|idx_427|Protocol native, version 1|probability > 0.5|last epoch|3 epochs"
    for part in (*parts.split("|"), "seeds 0, 1, 2", "fp32", "Test CPU", "1x3x256x256"):
        assert part in text
    assert "No result: mshnet soft_iou, seed 2, failed: it failed here" in text
    assert "No result: acm soft_iou, seeds 0, 1, 2, oom: it oom here" in text


def test_selection_on_the_test_set_is_marked(tmp_path: Path) -> None:
    found = collect(write(tmp_path, make_record(selection="best-test")))
    for text in (markdown(found, [], ""), latex(found), _terminal(found, 200)):
        assert "TEST SET" in text


def _three_runs(output: Path) -> Path:
    """Two seeds and another method; each training scored by its last epoch and its best ones."""
    values = {("mshnet", 0): (0.70, 0.72), ("mshnet", 1): (0.66, 0.665), ("acm", 0): (0.6, 0.5999)}
    records = [
        score_also(make_record(detector, seed=seed, iou=last), "best-test", 1, iou=best)
        for (detector, seed), (last, best) in values.items()
    ]
    score_also(records[0], "best-val", 2, iou=0.715)
    return write(output, *records)


def test_every_rule_has_its_marked_table(tmp_path: Path) -> None:
    found = collect(_three_runs(tmp_path))
    text = markdown(found, [], "")
    sections = dict(zip(("best-val", "last", "best-test"), text.split("\n## ")[1:], strict=True))
    for rule, section in sections.items():
        assert section.splitlines()[0].endswith(f"· recipe standard · {rule}")
        assert ("BEST EPOCH ON THE TEST SET" in section) == (rule == "best-test")
        assert "Settings that differ between rows" not in section
    rows = {rule: _markdown_rows(f"| x |\n{section}") for rule, section in sections.items()}
    assert rows["last"]["mshnet", "sls"][:2] == ["2", "**68.00 ± 2.83**"]
    assert rows["best-test"]["mshnet", "sls"][:2] == ["2", "**69.25 ± 3.89**"]
    assert rows["best-val"]["mshnet", "sls"][:2] == ["1", "71.50"]


def test_worth_of_the_test_set_is_told_below_its_table(tmp_path: Path) -> None:
    found = collect(_three_runs(tmp_path))
    over_last = (
        "Choosing the epoch on the test images adds to the IoU of the last epoch: "
        "acm sls -0.01, mshnet sls +1.25 (points; same trainings)."
    )
    over_val = (
        "Choosing the epoch on the test images adds to the IoU of the best epoch on the validation "
        "part of the training list: mshnet sls +0.50 (1 of 2 seeds) (points; same trainings)."
    )
    assert [notes(table)[:2] == [over_last, over_val] for table in found.tables] == [
        False, False, True
    ]  # fmt: skip
    for text in (markdown(found, [], ""), latex(found), _terminal(found, 400)):
        assert text.count("Choosing the epoch") == 2
    lines = list(csv.DictReader(io.StringIO(csv_text(found))))
    worth = {
        (line["selection"], line["detector"]): (line["iou_over_last"], line["iou_over_best_val"])
        for line in lines
    }
    last, val = worth.pop(("best-test", "mshnet"))
    assert (float(last), float(val)) == pytest.approx((0.0125, 0.005))
    assert float(worth.pop(("best-test", "acm"))[0]) == pytest.approx(-0.0001)
    assert set(worth.values()) == {("", "")}
    assert len(worth) == 3


def test_training_images_of_what_was_trained_here(tmp_path: Path) -> None:
    untrained = make_record("top_hat", "none")
    foreign = make_record("theirs", "unknown")
    foreign.data.train_hash, foreign.data.train_images = "", 0
    found = collect(write(tmp_path, make_record(), untrained, foreign))
    shown = [column.title for column in columns_of(found.tables[0])]
    place = 1 + shown.index("Train images")
    rows = _markdown_rows(markdown(found, [], ""))
    assert {name[0]: row[place] for name, row in rows.items()} == {
        "mshnet": "307", "top_hat": "—", "theirs": "—"
    }  # fmt: skip
    (table,) = collect(write(tmp_path / "scored", untrained)).tables
    assert "train_images" not in [column.key for column in columns_of(table)]


@pytest.mark.parametrize("name", ["sirst-ablation", "sirst-protocols", "synthetic-worth"])
def test_tables_of_older_records_are_what_they_were(name: str) -> None:
    folder = ROOT / "results" / "reference" / name
    found = list(csv.DictReader(io.StringIO(csv_text(collect(folder)))))
    stored = list(csv.DictReader(io.StringIO((folder / "report/leaderboard.csv").read_text())))
    keys = ("protocol", "recipe", "selection", "detector", "loss", "settings", "seeds", "n", "iou",
            "iou_std", "niou", "pd", "fa", "parameters", "train_seconds")  # fmt: skip
    numbers, before = ([[line[k] for k in keys] for line in lines] for lines in (found, stored))
    assert numbers == before
    assert {line["train_images"] for line in found if line["loss"] != "none"} == {"307"}


def test_show_lists_every_rule(tmp_path: Path) -> None:
    record = score_also(make_record(selection="best-val", iou=0.7), "best-test", 2, iou=0.75)
    record.selected_epoch = 1
    (path,) = write(tmp_path, record).glob("runs/**/record.json")
    console = Console(width=200, file=io.StringIO())
    print_run(str(path), tmp_path, console)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    start = lines.index("selection best-val, epoch 1")
    assert lines[start + 1].startswith("native v1 iou 0.7,")
    assert lines[start + 2] == "also best-test, epoch 2"
    assert lines[start + 3].startswith("native v1 iou 0.75,")


def test_ties_are_decided_on_printed_digits(tmp_path: Path) -> None:
    values = {"sls": 0.70001, "soft_iou": 0.70004, "bce": 0.65, "dice": 0.6}
    records = [make_record("mshnet", loss, iou=value) for loss, value in values.items()]
    (table,) = collect(write(tmp_path, *records)).tables
    found = {table.rows[n].loss: mark for n, mark in marks(table, COLUMNS[0]).items()}
    assert found == {"sls": "best", "soft_iou": "best", "bce": "second"}


def test_two_settings_get_a_column(tmp_path: Path) -> None:
    found = collect(write(tmp_path, make_record(), make_record(settings={"epochs": 9})))
    text = markdown(found, [], "")
    assert "| Settings" in text
    assert "epochs=3" in text
    assert "epochs=9" in text
    assert "Settings that differ between rows: epochs = 3 (mshnet sls), 9 (mshnet sls)." in text


def test_csv_round_trip(collection: Collection) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(collection))))
    assert [(row["detector"], row["loss"]) for row in rows] == [
        ("acm", "sls"), ("acm", "soft_iou"), ("mshnet", "sls"), ("mshnet", "soft_iou"),
    ]  # fmt: skip
    table = collection.tables[0]
    for line, row in zip(rows, table.rows, strict=True):
        assert int(line["n"]) == len(row.done)
        assert (line["protocol"], line["protocol_version"]) == ("native", "1")
        assert (line["split"], line["selection"]) == (table.split, "last")
        assert line["train_images"] == ("307" if row.done else "")
        for key in ("iou", "fa", "parameters", "train_seconds"):
            summary = row.summary(key)
            assert line[key] == ("" if summary is None else repr(summary.mean))
    assert float(rows[2]["iou_std"]) == table.rows[2].summary("iou").std  # to the last bit
    assert (rows[1]["oom"], rows[3]["failed"], rows[3]["seeds"]) == ("3", "1", "0 1")


def test_latex_is_balanced_and_escaped(tmp_path: Path) -> None:
    found = collect(write_sweep(tmp_path / "out"))
    write(tmp_path / "odd", make_record("a_b", "50%&#", split="100% {x} ~^\\ $5"))
    found = Collection(found.tables + collect(tmp_path / "odd").tables, [])
    text = latex(found)
    body = text.replace(r"\\", "").replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    for name in ("table*", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 4
    assert r"a\_b" in text
    assert r"50\%\&\#" in text
    assert not re.search(r"(?<!\\)%", text.split("\n", 1)[1])
    columns = [line.count(" & ") for line in text.splitlines() if " & " in line]
    shown = len(columns_of(found.tables[0])) - 1  # FLOPs are left to the caption
    assert set(columns) == {2 + shown, 2 + len(CURVE_COLUMNS)}
    alignments = re.findall(r"begin{tabular}{@{}(\w+)@{}}", text)
    assert {len(alignment) for alignment in alignments} == {3 + shown, 3 + len(CURVE_COLUMNS)}
    assert r"\textbf{72.00}{\tiny$\pm$2.00}" in text
    assert r"\underline{69.00}{\tiny$\pm$1.41}" in text
    assert r"\shortstack[r]{2\\{\tiny failed 1/3}}" in text
    assert "usepackage{booktabs}" in text


def test_tex_escape() -> None:
    assert tex_escape("--lr_0 < 5 —") == r"-{}-lr\_0 $<$ 5 ---"


@pytest.mark.parametrize("width", [60, 80, 120, 260])
def test_terminal_keeps_names_and_ranked_numbers_at_any_width(
    collection: Collection, width: int
) -> None:
    text = _terminal(collection, width)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        for part in ("mshnet", "soft_iou", "72.00", "failed (1 of 3)", "oom (3 of 3)", "—"):
            assert part in text
    assert ("Not shown at this width" in text) == (width < 260)


def test_published_rows_for_known_data_sets_only() -> None:
    assert published_section(["synthetic"]) == ""
    text = published_section(["synthetic", "sirst"])
    assert "not comparable cell by cell" in text
    assert "NUAA-SIRST" in text
    assert "IRSTD-1K" not in text
    assert "second-hand quote" in published_section(["irstd1k"])


def test_published_rows_are_those_of_the_collection() -> None:
    if not SHARED.exists():
        pytest.skip("the collection of published numbers is not beside this checkout")
    with SHARED.open(encoding="utf-8") as file:
        known = {
            (r["dataset"], r["detector"].split(" (")[0], r["loss"], r["source_key"],
             *(float(r[k]) if r[k] else None
               for k in ("iou_percent", "niou_percent", "pd_percent", "fa_1e6")))
            for r in csv.DictReader(file)
        }  # fmt: skip
    rows = yaml.safe_load((ROOT / "benchmark/report/published.yaml").read_text("utf-8"))["rows"]
    for dataset, detector, loss, *numbers, _split, source in rows:
        detector = detector.split(" (")[0]  # our name of the network, where papers use another's
        assert (dataset, detector, loss, source.removesuffix("_new"), *numbers) in known


def test_no_records_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no records in .*runs.*--output"):
        write_report(tmp_path, Console(file=io.StringIO()))
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "record.json").write_text("{")
    with pytest.raises(UserError, match="1 file is no record"):
        write_report(tmp_path, Console(file=io.StringIO()))


def test_first_output_needs_neither_torch_nor_a_plotting_library(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    code = (
        "import io, sys; from pathlib import Path; from rich.console import Console\n"
        "from benchmark.report.collect import collect; from benchmark.report.latex import latex\n"
        "from benchmark.report.tables import markdown, print_tables\n"
        "found = collect(Path(sys.argv[1])); print_tables(found, Console())\n"
        "latex(found), markdown(found, [], '')\n"
        "slow = {'torch', 'matplotlib', 'seaborn', 'pandas', 'scipy.stats'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "mshnet" in done.stdout
