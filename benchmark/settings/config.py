"""Settings in layers: defaults < the detector's own < recipe < preset < command line.

`Settings` is what decides the result of one run; `Plan` is what to run and where. A preset is a
YAML file whose keys are the options' names; a recipe (see `recipe`) has those of the training only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from benchmark.errors import UserError, did_you_mean
from benchmark.evaluation import list_protocols

PRESETS = Path(__file__).parent / "presets"

Rule = Literal["last", "best-val", "best-test"]
"""Which epoch of a training is scored."""

ALIASES = {
    "detector": "detectors", "loss": "losses", "dataset": "datasets", "seed": "seeds",
    "protocol": "protocols",
}  # fmt: skip
"""Option names that mean the same key."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Settings(_Strict):
    """Everything besides dataset, detector, loss and seed that decides the result of a run."""

    epochs: int = Field(
        100, ge=0, description="training epochs; 0 scores the weights as they are (--weights)"
    )
    batch_size: int = Field(8, ge=1, description="images per step")
    optimizer: Literal["adagrad", "mxnet_adagrad", "adam", "adamw", "sgd"] = Field(
        "adagrad",
        description="optimizer; mxnet_adagrad as in the official ACM code, sgd with Nesterov 0.9",
    )
    lr: float = Field(0.05, gt=0, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, description="weight decay")
    schedule: Literal["constant", "cosine", "steps"] = Field(
        "constant", description="learning rate: steps is x0.1 after 1/2 and 3/4 of the epochs"
    )
    warm_epoch: int = Field(
        5, ge=-1, description="last warm-up epoch of MSHNet and SLS, counted from 0; -1: none"
    )
    warm_loss: str | None = Field(
        None, description="loss of the first epochs, in place of the run's own"
    )
    warm_loss_share: float = Field(
        0.0, ge=0, lt=1, description="share of the epochs that are trained with `warm_loss`"
    )
    output_prior: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="probability of a target that the output layers start from, in their bias; "
        "their weights are then small and add up to 0; none: as drawn",
    )
    augmentation: Literal["scale", "patch"] = Field(
        "scale",
        description="scale: flip, random scale, crop, blur (MSHNet, DNANet); patch: crop at native "
        "size, flips, transposition (BasicIRSTD)",
    )
    base_size: int = Field(
        256,
        ge=32,
        description="longer side that training images are scaled to, on average; px, not for patch",
    )
    scale_jitter: float = Field(
        2.0, ge=1, le=4, description="the scaled side is base_size times 1/jitter to jitter"
    )
    crop_size: int = Field(256, ge=16, description="side of the training crops, px")
    positive_crops: float = Field(
        0.0, ge=0, le=1, description="share of the crops that are placed around a target"
    )
    clip_grad: float | None = Field(
        None, gt=0, description="largest norm of the gradient, longer ones are scaled down"
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay a step of an average of the weights, which is then "
        "validated and scored in their place; 0: none",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32", description="auto: bf16 on CUDA and on CPUs that compute with it, else fp32"
    )
    compile: bool = Field(
        False,
        description="train through torch.compile (with CUDA graphs on a GPU): the same but for "
        "rounding; on a CPU it was slower",
    )
    selection: Rule = Field(
        "best-val", description="which epoch is scored; best-test is marked in every table"
    )
    also: tuple[Rule, ...] = Field(
        (),
        description="further selection rules that the same training is scored under, each with "
        "rows of its own",
    )
    select_by: str = Field("native", description="protocol whose IoU tells the best epoch")
    val_fraction: float = Field(
        0.1, ge=0, le=0.5, description="part of the training list that is held out for validation"
    )
    eval_every: int = Field(1, ge=1, description="validate every so many epochs")
    limit: int | None = Field(None, ge=2, description="use only the first images of each split")
    protocols: tuple[str, ...] = Field(
        ("native",),
        min_length=1,
        description="scoring rules, comma list or all (`list protocols` explains them)",
    )
    weights: str | None = Field(
        None, description="name and digest of the weights to start from; set by --weights"
    )

    @field_validator("also")
    @classmethod
    def _order_decides_nothing(cls, also: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(sorted(set(also) - {info.data.get("selection")}))

    @model_validator(mode="after")
    def _warm_loss_needs_epochs(self) -> Settings:
        if (self.warm_loss is None) != (self.warm_loss_share == 0):
            raise ValueError(
                f"warm_loss {self.warm_loss} with warm_loss_share {self.warm_loss_share:g}: "
                "set both, or neither"
            )
        return self

    @model_validator(mode="after")
    def _best_needs_validation(self) -> Settings:
        if self.epochs and self.val_fraction == 0:
            for key, rules, remedy in (
                ("selection", (self.selection,), "use --set selection=last"),
                ("also", self.also, "leave best-val out of it"),
            ):
                if "best-val" in rules:
                    raise ValueError(f"{key} best-val needs val_fraction above 0; or {remedy}")
        return self

    @property
    def warm_loss_epochs(self) -> int:
        """So many epochs are trained with `warm_loss`; never all."""
        return max(min(round(self.warm_loss_share * self.epochs), self.epochs - 1), 0)

    def without_training(self) -> Settings:
        """These settings for a run that only scores: whatever belongs to training is at default."""
        kept = ("limit", "precision", "protocols", "selection", "weights")
        return Settings(epochs=0, **{key: getattr(self, key) for key in kept})


TRAINING = (
    "epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "warm_epoch",
    "warm_loss", "warm_loss_share", "output_prior", "augmentation", "base_size", "scale_jitter",
    "crop_size", "positive_crops", "clip_grad", "ema",
)  # fmt: skip
"""The settings that make up a recipe."""


class Plan(_Strict):
    """What to run, and where; only `overrides` and `weights` reach a run's settings."""

    preset: str = Field(
        "quick",
        description="what to run: quick, laptop, standard, published, ablation or a .yaml file "
        "with these options as keys",
    )
    recipe: str = Field(
        "published",
        description="how to train: published (each detector's own), mshnet, basicirstd, ... or a "
        ".yaml file; `list recipes` explains them",
    )
    detectors: tuple[str, ...] = Field(
        ("all",),
        description="names, comma lists, wildcards ('ms*'), all, baseline or classical; variants "
        "and options behind a colon: acm:port, mshnet:scales=2",
    )
    losses: tuple[str, ...] = Field(
        ("sls",), description="the same for losses; published: each detector's own"
    )
    datasets: tuple[str, ...] = Field(
        ("synthetic",),
        description="the same for datasets; sirst:idx_320 picks a split list, folder:PATH is your "
        "own images and masks",
    )
    seeds: tuple[NonNegativeInt, ...] = Field((0,), description="e.g. 0,1,2")
    data_root: Path | None = Field(
        None, description="folder with the downloaded datasets; or set IRSTD_DATA_ROOT"
    )
    output: Path = Field(description="default: results/<preset>")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:0,1")
    jobs_per_device: PositiveInt | Literal["auto"] = Field(
        1, description="runs at a time on each device; auto: as many as its memory holds, at most 4"
    )
    order: Literal["large-first", "seed-first"] = Field(
        "large-first",
        description="which cells run first: those of large detectors, or all of the first seed as "
        "they are named",
    )
    time_limit: float | None = Field(
        None,
        ge=20,  # below, nothing would ever be started: see `execute.dispatch.START_SECONDS`
        description="seconds, or 90s, 9m, 1h30m: no epoch is started that would not end in time; "
        "the exit code is then 75, and the same command goes on",
    )
    cuda_graph: Literal["off", "auto"] = Field(
        "off",
        description="auto: launch a training step on a GPU as one CUDA graph, where it can be "
        "captured",
    )
    executor: str = Field("local", description="what starts the runs: local, on this machine")
    executor_options: dict[str, Any] = Field({}, description="settings of the executor, by name")
    plugins: Path | None = Field(None, description="folder with detectors or losses of your own")
    weights: Path | None = Field(
        None,
        description="start from this checkpoint (one detector; official ones load as they are); "
        "with --epochs 0 it is only scored",
    )
    allow_leakage: bool = Field(
        False, description="score even images that were trained on; the tables mark it"
    )
    profile: bool = Field(True, description="measure each detector's latency after the runs")
    overrides: dict[str, dict[str, Any]] = Field(
        {}, description="settings of single detectors, over the preset's; by name"
    )

    @field_validator("jobs_per_device", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        if str(value) != "auto" and not re.fullmatch(r"0*[1-9]\d*", str(value)):
            raise ValueError("write a number from 1 on, or auto")
        return value

    @field_validator("time_limit", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        text = str(value).strip()
        found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
        if value is None or re.fullmatch(r"[\d.]+", text):
            return value
        if not found or not text:
            raise ValueError("write seconds, or 90s, 9m, 1h30m")
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return 3600 * hours + 60 * minutes + seconds


def split_keys(raw: dict[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort raw options into those of `Plan` and those of `Settings`.

    Args:
        raw: option names (aliases and dashes allowed) and values.
        where: names the source in messages, e.g. the preset's path.

    Raises:
        UserError: a key that neither knows, with the nearest valid one.
    """
    plan: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for key, value in raw.items():
        name = str(key).replace("-", "_")
        name = ALIASES.get(name, name)
        if name == "preset":
            raise UserError(f"{where}: presets do not nest; use --preset {value}")
        if name in Plan.model_fields:
            plan[name] = value
        elif name in Settings.model_fields:
            settings[name] = value
        else:
            valid = [*Plan.model_fields, *Settings.model_fields, *ALIASES]
            hint = did_you_mean(name, valid).rstrip() or f"valid keys: {', '.join(valid)}"
            raise UserError(f"{where}: unknown key '{key}'; {hint}")
    overrides = plan.get("overrides", {})
    if not isinstance(overrides, dict) or not all(isinstance(v, dict) for v in overrides.values()):
        raise UserError(f"{where}: overrides: write them as {{detector: {{setting: value}}}}")
    for detector, more in overrides.items():
        found, overrides[detector] = split_keys(more, f"{where}: overrides: {detector}")
        if found:
            raise UserError(f"{where}: overrides: {detector}: '{next(iter(found))}' is no setting")
    for name in ("detectors", "losses", "datasets", "seeds"):
        if name in plan:
            plan[name] = _as_tuple(plan[name])
    if "protocols" in settings:
        names = _as_tuple(settings["protocols"])
        every = list_protocols() if "all" in names else names
        settings["protocols"] = tuple(sorted(set(every)))  # the order decides nothing
    if "also" in settings:  # left empty: none
        settings["also"] = () if settings["also"] is None else _as_tuple(settings["also"])
    return plan, settings


def check_values(plan: dict[str, Any], settings: dict[str, Any], where: str) -> None:
    """Refuse values out of range, while it is known where they come from.

    What is left empty is not looked at: another layer may fill it.

    Args:
        plan, settings: of one layer, as `split_keys` sorts them.
        where: as there.

    Raises:
        UserError: a value that its key does not take.
    """
    _check(Plan, plan, where)
    _check(Settings, settings, where)
    for detector, more in plan.get("overrides", {}).items():
        _check(Settings, more, f"{where}: overrides: {detector}")


def _check(model: type[BaseModel], values: dict[str, Any], where: str) -> None:
    try:
        model(**{key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        for found in error.errors():
            if found["loc"] and found["type"] != "missing":
                raise UserError(f"{where}: {_explain(model, found)}") from None


def read_preset(name: str) -> dict[str, Any]:
    """The keys of a preset, by name or by path of a YAML file.

    Raises:
        UserError: no such preset, or a file that is not a YAML mapping.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in PRESETS.glob("*.yaml"))
        hint = did_you_mean(name, names)
        raise UserError(
            f"--preset {name}: no such preset or file; {hint}there are: {', '.join(names)}, "
            "or the path of a .yaml file"
        )
    return read_yaml(path, f"--preset {path}")


def read_yaml(path: Path, where: str) -> dict[str, Any]:
    """A file of option names and values.

    Raises:
        UserError: not a YAML mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: not valid YAML ({reason})") from None
    if not isinstance(raw, dict):
        raise UserError(f"{where}: must be a YAML mapping of option names to values")
    return raw


def resolve_settings(*layers: dict[str, Any]) -> Settings:
    """Settings of one run from the layers over the defaults; a later one wins.

    A `loss` in a layer (that of a detector's published recipe) is information, not a setting.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= {key: value for key, value in layer.items() if key != "loss"}
    return build(Settings, merged)


def build(model: type[BaseModel], values: dict[str, Any]) -> Any:
    """Validate `values`; a value out of range becomes one line that names the key and the value."""
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of the whole, not of one key
            raise UserError(first["msg"].removeprefix("Value error, ")) from None
        raise UserError(_explain(model, first)) from None


def _explain(model: type[BaseModel], error: Any) -> str:
    """What pydantic found wrong with one key, in a line."""
    key, value = str(error["loc"][0]), error.get("input")
    hint = ""
    if error["type"] == "literal_error":
        choices = [c.strip(" '") for c in error["ctx"]["expected"].replace(" or ", ",").split(",")]
        hint = did_you_mean(str(value), choices)
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(key, model.model_fields)
    text = error["msg"].removeprefix("Value error, ")
    return f"{key} {value}: {text[0].lower()}{text[1:]}" + (f"; {hint.rstrip()}" if hint else "")


def parse_set(items: list[str]) -> dict[str, Any]:
    """`key=value` items of --set; values are read as YAML.

    Raises:
        UserError: an item without `=`.
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--set {item}: write it as key=value")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {item}: the value is not valid YAML") from None
    return found


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """A list, a comma list or a single value as a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
