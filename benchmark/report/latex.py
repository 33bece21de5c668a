"""The leaderboard for a paper: booktabs, and nothing else that a class file may lack."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.measures import Measure
from benchmark.report.captions import CURVE_CAPTION, caption, notes
from benchmark.report.columns import (
    CURVE_COLUMNS,
    Mark,
    alike,
    any_marks,
    columns_of,
    count,
    has_curves,
    label_titles,
    labels,
    marks,
    printed,
)
from benchmark.report.model import Collection, Row, Table

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$",
    "—": "---", "–": "--", "→": r"$\to$", "≤": r"$\leq$", "≈": r"$\approx$", "\n": " ", "\0": "{}",
}  # fmt: skip
_MARKS = {"best": r"\textbf{%s}", "second": r"\underline{%s}", None: "%s"}
_BREAK = r"\\"


def latex(collection: Collection) -> str:
    r"""One `table*` for each table; needs `\usepackage{booktabs}`."""
    head = "% Made by irstd-bench from the records. Needs \\usepackage{booktabs}.\n\n"
    parts = []
    for table in collection.tables:
        # The page has no room for what the caption says of the MACs.
        columns = [column for column in columns_of(table) if column.key != "flops"]
        parts.append(_table(table, columns, caption(table), table.slug, notes(table)))
        if has_curves(table) and table.at is None:
            text = f"{table.heading}, protocol {table.protocol}. {CURVE_CAPTION}"
            parts.append(_table(table, CURVE_COLUMNS, text, f"{table.slug}-curves", []))
    return head + "\n".join(parts)


def tex_escape(text: str) -> str:
    """Plain text as LaTeX source."""
    # Two hyphens would become a dash; options such as --lr are full of them.
    text = text.replace("--", "-\0-")
    return "".join(_SPECIAL.get(character, character) for character in text)


def _table(
    table: Table, columns: Sequence[Measure], text: str, label: str, below: list[str]
) -> str:
    names = label_titles(table)
    alignment = "l" * len(names) + "r" * (len(columns) + 1)
    ranks = {column.key: marks(table, column) for column in columns}
    explained = " Best in bold, second underlined." if any_marks(table, columns) else ""
    warned = f"{table.no_comparison}. " if table.incomparable else ""
    lines = [
        r"\begin{table*}[t]",
        rf"\caption{{{tex_escape(warned + text + explained)}}}",
        rf"\label{{tab:{label}}}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2pt}\renewcommand{\arraystretch}{1.15}",
        # Centred on the page even where long numbers make it a little wider than the text.
        rf"\makebox[\textwidth]{{\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        " & ".join([*names, "$n$", *(column.latex_title for column in columns)]) + rf" {_BREAK}",
        r"\midrule",
    ]
    previous = None
    for number, row in enumerate(table.rows):
        if previous not in (None, row.detector):
            lines.append(r"\addlinespace")
        previous = row.detector
        cells = [*(tex_escape(text) for text in labels(table, row)), _count(row)]
        cells += [
            _cell(column, row, ranks[column.key].get(number))
            + (r"$^{\approx}$" if number in alike(table, column) else "")
            for column in columns
        ]
        lines.append(" & ".join(cells) + rf" {_BREAK}")
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip {tex_escape(line)}" for line in below]
    return "\n".join([*lines, r"\end{table*}", ""])


def _count(row: Row) -> str:
    """n, and the outcomes of the other seeds below it, since the table is wide as it is."""
    if row.ranked and not row.troubled:
        return count(row)
    lines = [str(len(row.done))] if row.done else []
    total = len(row.runs)
    lines += [rf"{{\tiny {status} {n}/{total}}}" for status, n in row.trouble().items()]
    if row.collapsed:
        lines.append(rf"{{\tiny collapsed {len(row.collapsed)}/{len(row.done)}}}")
    return lines[0] if len(lines) == 1 else rf"\shortstack[r]{{{_BREAK.join(lines)}}}"


def _cell(column: Measure, row: Row, mark: Mark | None) -> str:
    mean, std = printed(column, row.summary(column.key))
    text = _MARKS[mark] % tex_escape(mean)
    return text if std is None else rf"{text}{{\tiny$\pm${std}}}"
