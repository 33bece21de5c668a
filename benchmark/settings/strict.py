"""The common base of `Settings` and `Plan`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A model whose fields do not change, and that takes no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
