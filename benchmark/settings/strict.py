"""What `Settings` and `Plan` have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Fields that do not change, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
