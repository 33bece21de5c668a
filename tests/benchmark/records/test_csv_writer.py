"""The CSV writer: as the standard library's would write it, with gaps as empty cells."""

from __future__ import annotations

import csv
import io
import math

import pytest

from benchmark.records.csv_writer import as_csv

ROWS = [
    {"text": 'a "quoted", b\nc', "count": 516869, "number": 0.1 + 0.2, "flag": True},
    {"text": "≤ µ", "number": 1e-07, "large": 10**20},
    {"text": None, "count": 0, "number": -0.0, "flag": False, "large": None},
    {"number": 1e16, "text": "", "count": 2**53 + 1},
]
COLUMNS = ["text", "count", "number", "flag", "large", "empty"]


def by_the_standard_library(rows: list[dict], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_same_as_the_standard_library() -> None:
    assert as_csv(ROWS, COLUMNS) == by_the_standard_library(ROWS, COLUMNS)
    rows = [tuple(row.get(name) for name in COLUMNS) for row in ROWS]
    assert as_csv(rows, COLUMNS) == by_the_standard_library(ROWS, COLUMNS)


def test_numbers_come_back_as_they_were() -> None:
    back = list(csv.DictReader(io.StringIO(as_csv(ROWS, COLUMNS))))
    assert [float(row["number"]) for row in back] == [row["number"] for row in ROWS]
    assert math.copysign(1, float(back[2]["number"])) == -1
    assert [row["count"] for row in back] == ["516869", "", "0", "9007199254740993"]


@pytest.mark.parametrize("columns", [["a", "b"], ["a", "a"]], ids=["none", "two of one name"])
def test_columns_without_rows(columns: list[str]) -> None:
    assert as_csv([], columns) == ",".join(columns) + "\n"
    assert as_csv([(1, 2)], columns) == ",".join(columns) + "\n1,2\n"
