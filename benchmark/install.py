"""Last step of `make setup`: check that torch, torchvision and timm load together.

timm imports torchvision. torchvision's wheel on PyPI for Linux is built for the CUDA build of
torch; beside a CPU build of the same release its compiled operators cannot load, and since 0.16 the
import then fails, although timm uses only the Python part. In that one case the two operators whose
declaration is missing are declared in the installed copy. They stay without a kernel: calling them
still fails with torchvision's own message.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

_MISSING = "operator torchvision::nms does not exist"
_PATCH = """

# Added by irstd-bench (benchmark/install.py): torch is a CPU build and this torchvision a CUDA one.
if not _has_ops():
    import torch as _torch

    _boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for _name in ("nms", "qnms"):
        _torch.library.define(f"torchvision::{_name}", _boxes)
"""


def import_error(code: str) -> str | None:
    """Run `code` in a fresh interpreter; the last line of its error output, None if it ran."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else (run.stderr.strip().splitlines() or ["no message"])[-1]


def main() -> int:
    """Check, repair if it is the known mismatch, and check again."""
    check = "import torch, torchvision, timm"
    error = import_error(check)
    if error is not None and _MISSING in error:
        spec = importlib.util.find_spec("torchvision")
        assert spec is not None
        assert spec.origin is not None
        extension = Path(spec.origin).parent / "extension.py"
        with extension.open("a", encoding="utf-8") as file:
            file.write(_PATCH)
        print("note: CPU build of torch beside CUDA torchvision; declared its operators")
        error = import_error(check)
    if error is not None:
        print(
            f"`{check}` fails: {error}\n"
            "torch and torchvision must be of the same release (2.11 with 0.26, 2.13 with 0.28); "
            "remove .venv and run `make setup` again, or install a matching pair into it.",
            file=sys.stderr,
        )
        return 1
    print("ready: torch, torchvision and timm load")
    return 0


if __name__ == "__main__":
    sys.exit(main())
