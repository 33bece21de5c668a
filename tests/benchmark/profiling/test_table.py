"""Measured latencies and untrained rows in the leaderboard; the table of the profile command."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

import detectors
from benchmark.profiling.table import csv_text as cost_csv
from benchmark.profiling.table import footnotes, write_cost_table
from benchmark.profiling.table import markdown as cost_page
from benchmark.records.record import Latency, Profile, Record
from benchmark.report import write_report
from benchmark.report.captions import caption, notes
from benchmark.report.collect import collect
from benchmark.report.latex import latex
from benchmark.report.line_styles import loss_label
from benchmark.report.tables import csv_text, markdown, print_tables
from tests.benchmark.report.test_report_sweep import make_record, write, write_sweep

LATENCY = "Latency (ms)"
MEASURED = "Latency: median of one 1x3x256x256 image, batch 1, 2 threads, fp32, measured alone on"


def make_profile(
    detector: str = "mshnet", milliseconds: float = 1234.56, **other: object
) -> Profile:
    """A measurement on the machine of `make_record`; `other` fields override the plain ones."""

    def latency(batch: int, ms: float) -> Latency:
        return Latency(
            batch=batch, median_ms=ms, p10_ms=0.9 * ms, p90_ms=1.1 * ms, repeats=9,
            peak_memory_bytes=batch * 50_000_000,
        )  # fmt: skip

    fields = {
        "detector": detector, "source": "0", "seconds": 2.0, "parameters": 4_066_000,
        "macs": 6_105_000_000, "flops": 12_210_000_000, "input": "1x3x256x256",
        "single": latency(1, milliseconds), "batched": latency(4, 4 * milliseconds),
        "throughput": 1e3 / milliseconds,
        "memory_kind": "growth of the resident memory", "device": "Test CPU", "threads": 2,
        "precision": "fp32", "torch": "2.11", "harness": "0.1.0", "date": "2025-01-01T02:00:00Z",
    }  # fmt: skip
    return Profile(**(fields | other))


def make_untrained(detector: str = "top_hat", **settings: object) -> Record:
    """A classical method, scored as it is."""
    record = make_record(detector, "none", settings={"epochs": 0, "lr": 0.01, **settings})
    record.history = []
    record.cost = record.cost.model_copy(
        update={"parameters": 0, "macs": None, "macs_input": None, "train_seconds": 0.0}
    )
    return record


def write_profiles(output: Path, *profiles: Profile) -> Path:
    (output / "profiles").mkdir(exist_ok=True, parents=True)
    for number, profile in enumerate(profiles):
        (output / "profiles" / f"{number}.json").write_text(profile.to_json(), encoding="utf-8")
    return output


def column(output: Path, title: str) -> dict[str, str]:
    """A column of the Markdown table, by detector and loss."""
    lines = markdown(collect(output), [], "").partition("### ")[0].splitlines()
    table = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    place = table[0].index(title)
    return {f"{row[0]} {row[1]}": row[place] for row in table[1:]}


def page(output: Path) -> str:
    return markdown(collect(output), [], "")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path / "out")


def test_latency_is_shown_in_every_format(sweep: Path) -> None:
    write_profiles(sweep, make_profile())
    assert column(sweep, LATENCY) == {
        "mshnet sls": "1234.6", "mshnet soft_iou": "1234.6", "acm sls": "—", "acm soft_iou": "—",
    }  # fmt: skip
    assert column(sweep, "FLOPs (G)")["mshnet sls"] == "12.21"
    found = collect(sweep)
    console = Console(width=300, file=io.StringIO())
    print_tables(found, console)
    for text in (page(sweep), latex(found), console.file.getvalue().replace("\n", "")):
        assert "1234.6" in text
        assert f"{MEASURED} Test CPU." in text
        assert "FLOPs = 2 x MACs" in text
    rows = {(r["detector"], r["loss"]): r for r in csv.DictReader(io.StringIO(csv_text(found)))}
    row = rows["mshnet", "sls"]
    assert (row["latency_ms"], row["flops"]) == ("1234.56", "12210000000.0")
    assert float(row["latency_p10_ms"]) < 1234.56 < float(row["latency_p90_ms"])
    assert (row["batch_images"], row["latency_threads"]) == ("4", "2")
    assert float(row["batch_images_per_second"]) == pytest.approx(1e3 / 1234.56)
    assert row["inference_memory_bytes"] == "50000000"
    assert {rows["acm", "sls"][k] for k in row if k.startswith(("latency", "batch"))} == {""}


def test_without_profiles_there_are_dashes_and_no_caption(sweep: Path) -> None:
    assert set(column(sweep, LATENCY).values()) == {"—"}
    assert "Latency:" not in page(sweep)


@pytest.mark.parametrize(
    "other", [{"device": "Another CPU"}, {"fused": True}, {"detector": "dnanet"}]
)
def test_what_was_measured_elsewhere_is_not_shown(sweep: Path, other: dict) -> None:
    write_profiles(sweep, make_profile(**other))
    assert set(column(sweep, LATENCY).values()) == {"—"}
    assert "Latency:" not in page(sweep)


def test_runs_on_two_devices_have_no_latency(tmp_path: Path) -> None:
    other = make_record(seed=1)
    other.environment.device = "Another CPU"
    output = write(tmp_path, make_record(), other)
    write_profiles(output, make_profile(), make_profile(device="Another CPU"))
    assert column(output, LATENCY) == {"mshnet sls": "—"}


def test_the_latest_profile_counts(sweep: Path) -> None:
    early = make_profile(milliseconds=1.0, date="2024-01-01T00:00:00Z")
    write_profiles(sweep, make_profile(milliseconds=2.0), early)
    assert column(sweep, LATENCY)["mshnet sls"] == "2.0"


def test_a_disturbed_measurement_gets_a_note(sweep: Path) -> None:
    write_profiles(sweep, make_profile(warning="150% of a core is used by other processes"))
    lines = notes(collect(sweep).tables[0])
    assert lines.count("Latency of mshnet: 150% of a core is used by other processes") == 1


def test_broken_profiles_are_warnings(sweep: Path) -> None:
    write_profiles(sweep, make_profile())
    for name, text in {"cut": make_profile().to_json()[:99], "foreign": '{"a": 1}'}.items():
        (sweep / "profiles" / f"{name}.json").write_text(text)
    console = Console(width=200, file=io.StringIO())
    write_report(sweep, console)
    warnings = [x for x in console.file.getvalue().splitlines() if x.startswith("warning: ")]
    assert len(warnings) == 2
    assert all("not a profile" in line for line in warnings)
    assert column(sweep, LATENCY)["mshnet sls"] == "1234.6"


def test_untrained_rows_share_the_table_but_not_the_settings(sweep: Path) -> None:
    write(sweep, make_untrained())
    write_profiles(sweep, make_profile("top_hat", macs=None, flops=None))
    (table,) = collect(sweep).tables
    assert [row.detector for row in table.rows if not row.trained] == ["top_hat"]
    text = caption(table)
    assert "3 epochs" in text
    assert "0 or 3" not in text
    assert "seeds 0, 1, 2." in text
    assert not table.differing_settings()
    assert notes(table)[0] == "Rows with the loss none were not trained, only scored."
    for title, cell in {"n": "1", "Params (M)": "0.00", "MACs (G)": "—", "FLOPs (G)": "—",
                        LATENCY: "1234.6", "Train time": "—"}.items():  # fmt: skip
        assert column(sweep, title)["top_hat none"] == cell
    # It takes part in the ranking: Fa 10 is the lowest, like mshnet's.
    assert column(sweep, "Fa (1e-6) ↓")["top_hat none"] == "**10.00**"
    assert loss_label(table.rows[-1]) == "untrained"


def test_a_table_of_untrained_rows_only(tmp_path: Path) -> None:
    output = write(tmp_path, make_untrained(), make_untrained("mshnet", weights="w.pkl sha256:12"))
    (table,) = collect(output).tables
    text = caption(table)
    for part in ("epochs", "Epoch", "seed"):
        assert part not in text
    assert notes(table) == [
        "Rows with the loss none were not trained, only scored. "
        "mshnet has the weights w.pkl sha256:12."
    ]
    write_report(output, Console(file=io.StringIO()))


def test_cost_table(tmp_path: Path) -> None:
    published = detectors.REGISTRY.get("mshnet").info.published_cost
    profiles = [
        make_profile(published=published),
        make_profile(published=published, fused=True, folded="40 of 40", warning="150% of a core"),
        make_profile("top_hat", 0.5, macs=None, flops=None, parameters=0, input="1x1x256x256"),
    ]
    console = Console(width=160, file=io.StringIO())
    paths = write_cost_table(profiles, tmp_path, console)
    assert [path.name for path in paths] == ["profile.md", "profile.csv"]
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 160
    for part in ("1234.6 (1111.1–1358.0)", "mshnet (folded 40 of 40)", "50 / 200", "12.210"):
        assert part in text
        assert part in cost_page(profiles)
    lines = [line for line in cost_page(profiles).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[1][-2:] == [str(published["parameters"]), str(published["flops"])]
    assert cells[3] == [
        "top_hat",
        "0.000",
        "—",
        "—",
        "0.5 (0.5–0.6)",
        "2000.0",
        "50 / 200",
        "—",
        "—",
    ]
    assert "Input 1x3x256x256, 1x1x256x256, fp32, on Test CPU with 2 threads" in cost_page(profiles)
    source, difference = published["source"], published["difference"]
    assert footnotes(profiles) == [
        f"mshnet: published in {source}; {difference}.",
        "mshnet (folded 40 of 40): 150% of a core.",
    ]
    rows = list(csv.DictReader(io.StringIO(cost_csv(profiles))))
    assert [row["single_median_ms"] for row in rows] == ["1234.56", "1234.56", "0.5"]
    assert [row["macs"] for row in rows] == ["6105000000", "6105000000", ""]
    assert rows[2]["published_parameters_m"] == ""


def test_replayed_times_get_a_column_where_there_are_some(tmp_path: Path) -> None:
    graph = make_profile(milliseconds=3.0).single
    without, having = make_profile(), make_profile("dnanet", graph=graph)
    console = Console(width=200, file=io.StringIO())
    write_cost_table([without], tmp_path, console)
    for text in (console.file.getvalue(), cost_page([without]), cost_csv([without])):
        assert "graph" not in text.lower()
    write_cost_table([without, having], tmp_path, console)
    assert "Graph (ms)" in console.file.getvalue()
    assert "graph: replayed from a CUDA graph" in cost_page([without, having])
    lines = cost_page([without, having]).splitlines()
    table = [[c.strip() for c in x.split("|")[1:-1]] for x in lines if x.startswith("| ")]
    place = table[0].index("Graph (ms)")
    assert table[0][place - 1] == LATENCY
    assert [row[place] for row in table[1:]] == ["—", "3.0 (2.7–3.3)"]
    for profiles in ([without, having], [having, without]):
        rows = {r["detector"]: r for r in csv.DictReader(io.StringIO(cost_csv(profiles)))}
        assert rows["dnanet"]["graph_median_ms"] == "3.0"
        assert rows["mshnet"]["graph_median_ms"] == ""
        assert rows["mshnet"]["single_median_ms"] == "1234.56"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_cost_table_keeps_names_and_latency_at_any_width(tmp_path: Path, width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    write_cost_table([make_profile(milliseconds=123.4)], tmp_path, console)
    assert "mshnet" in console.file.getvalue()
    assert "123.4 (111.1–135.7)" in console.file.getvalue()


def test_nothing_measured_writes_nothing(tmp_path: Path) -> None:
    assert write_cost_table([], tmp_path, Console(file=io.StringIO())) == []
    assert not list(tmp_path.iterdir())
