"""The examples of docs/records.md print what stands below them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n([^`]*)```\n\n```text\n([^`]*)```", PAGE)


def test_there_are_three() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize(("code", "printed"), EXAMPLES)
def test_example(code: str, printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pd.option_context("display.width", 80):
        exec(code, {})
    assert text.getvalue() == printed
