"""Training recipes by name: the settings of one way to train, the same wherever it is named.

`recipes/NAME.yaml` holds settings; `about` and `source` are for people. Settings that a recipe
leaves open are the detector's own, as its authors published it; `published` leaves all open.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import UserError, did_you_mean
from benchmark.settings.layers import check_values, read_yaml, split_keys
from benchmark.settings.run_settings import TRAINING

RECIPES = Path(__file__).parent / "recipes"
PUBLISHED = "published"
"""The recipe of each detector's authors."""


@dataclass(frozen=True)
class Recipe:
    """A way to train."""

    name: str
    about: str = ""
    source: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)  # by detector


def list_recipes() -> list[str]:
    """Names of all recipes."""
    return [PUBLISHED, *sorted(path.stem for path in RECIPES.glob("*.yaml"))]


def read_recipe(name: str) -> Recipe:
    """A recipe by name, or by the path of a YAML file.

    Raises:
        UserError: no such recipe, or keys that are no training settings.
    """
    if name == PUBLISHED:
        return Recipe(
            PUBLISHED,
            "each detector's own, as its authors published it",
            "see `list detectors` and `show NAME`",
        )
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        hint = did_you_mean(name, list_recipes())
        raise UserError(
            f"--recipe {name}: no such recipe or file; {hint}there are: "
            f"{', '.join(list_recipes())}, or the path of a .yaml file"
        )
    if path.parent != RECIPES and path.stem in list_recipes():
        raise UserError(
            f"--recipe {path}: there is a recipe '{path.stem}' already, and tables go by the name; "
            "rename the file"
        )
    raw = read_yaml(path, f"--recipe {path}")
    about, source = (str(raw.pop(key, "")) for key in ("about", "source"))
    plan, settings = split_keys(raw, f"--recipe {path}")
    overrides = plan.pop("overrides", {})
    for key in [*plan, *settings, *(key for more in overrides.values() for key in more)]:
        if key not in TRAINING:
            raise UserError(
                f"--recipe {path}: '{key}' is no setting of a training; a recipe has: "
                f"{', '.join(TRAINING)}, overrides, about, source"
            )
    check_values({"overrides": overrides}, settings, f"--recipe {path}")
    return Recipe(path.stem, about, source, settings, overrides)
