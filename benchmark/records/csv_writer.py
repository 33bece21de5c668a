"""The one way in which CSV files are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_csv(rows: Sequence[Mapping[str, object] | Sequence[object]], columns: Sequence[str]) -> str:
    """Rows as the text of a CSV file, after a line of column names.

    Numbers stand there at full precision; what is None, or not in a row, is an empty cell.

    Args:
        rows: by column, or in the order of the columns.
        columns: their names.
    """
    # Here, not at the top: what is printed in a terminal does not wait for it.
    import pandas as pd

    # of objects: in a column of numbers an empty cell would turn integers into floats
    frame = pd.DataFrame(list[Any](rows), columns=list(columns), dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")
