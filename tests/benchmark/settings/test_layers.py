"""Layers of settings, and errors that name key, value and remedy."""

import pytest

from benchmark.errors import UserError
from benchmark.settings.layers import (
    build,
    check_values,
    parse_set,
    read_preset,
    resolve_settings,
    split_keys,
)
from benchmark.settings.plan import Plan
from benchmark.settings.run_settings import Settings


def test_layers_win_in_order():
    recipe = {"lr": 0.1, "epochs": 400, "batch_size": 16, "loss": "sls"}
    settings = resolve_settings(recipe, {"epochs": 50, "batch_size": 8}, {"batch_size": 2})
    assert (settings.lr, settings.epochs, settings.batch_size) == (0.1, 50, 2)
    assert settings.optimizer == "adagrad"  # the default


def test_aliases_and_comma_lists():
    plan, settings = split_keys(
        {"loss": "sls, soft_iou", "seeds": "0,1", "batch-size": 4, "detector": ["acm"]}, "test"
    )
    assert plan == {"losses": ("sls", "soft_iou"), "seeds": ("0", "1"), "detectors": ("acm",)}
    assert settings == {"batch_size": 4}
    assert build(Plan, plan | {"output": "x"}).seeds == (0, 1)


@pytest.mark.parametrize(
    ("key", "nearest"), [("epoch", "epochs"), ("batchsize", "batch_size"), ("los", "loss")]
)
def test_unknown_key_names_the_nearest(key, nearest):
    with pytest.raises(UserError, match=f"unknown key '{key}'; did you mean '{nearest}'"):
        split_keys({key: 1}, "--set")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", -1),
        ("lr", -1.0),
        ("lr", float("nan")),
        ("val_fraction", 0.9),
        ("batch_size", "many"),
        ("precision", "fp8"),
        ("positive_crops", 1.5),
    ],
)
def test_value_out_of_range_is_named(key, value):
    with pytest.raises(UserError, match=f"^{key} {value}: "):
        build(Settings, {key: value})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9m", 540), ("1h30m", 5400), ("2h5s", 7205), ("45", 45), (22.5, 22.5)],
)
def test_a_time_limit_is_seconds_or_has_units(text, seconds):
    assert build(Plan, {"output": "x", "time_limit": text}).time_limit == seconds


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("time_limit", "nine", "90s, 9m, 1h30m"),
        ("time_limit", "", "90s, 9m, 1h30m"),
        ("time_limit", 7, "equal to 20"),
        ("jobs_per_device", "x", "a number from 1 on, or auto"),
        ("jobs_per_device", 0, "a number from 1 on, or auto"),
        ("cuda_graph", "on", "'off' or 'auto'"),
    ],
)
def test_where_to_run_names_the_remedy(key, value, remedy):
    with pytest.raises(UserError, match=f"^{key} {value}: .*{remedy}"):
        build(Plan, {"output": "x", key: value})
    assert build(Plan, {"output": "x", "jobs_per_device": "2"}).jobs_per_device == 2
    assert build(Plan, {"output": "x", "jobs_per_device": "auto"}).jobs_per_device == "auto"


@pytest.mark.parametrize(
    "raw", [{"lr": "fast"}, {"seeds": -1}, {"overrides": {"acm": {"lr": "a"}}}]
)
def test_value_out_of_range_is_named_with_its_source(raw):
    with pytest.raises(UserError, match=r"^--preset mine\.yaml: .*(lr|seeds) (fast|-1|a): input"):
        check_values(*split_keys(raw, "--preset mine.yaml"), "--preset mine.yaml")


def test_a_layer_alone_may_need_another():
    """No validation part is wrong only where the epoch is chosen on it; a blank may be filled."""
    check_values({"output": None, "seeds": None}, {"val_fraction": 0}, "test")


def test_wrong_choice_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'adagrad'"):
        build(Settings, {"optimizer": "adagrd"})


def test_best_on_validation_needs_a_validation_part():
    with pytest.raises(UserError, match="selection best-val needs val_fraction"):
        build(Settings, {"selection": "best-val", "val_fraction": 0})


def test_further_rules_are_a_set_without_the_own_one():
    for text in ("also=last,best-test", "also=[best-test, last, best-test]"):
        _, settings = split_keys(parse_set([text]), "--set")
        assert resolve_settings(settings).also == ("best-test", "last")
    # Whatever layer the own rule comes from.
    assert resolve_settings(settings, {"selection": "last"}).also == ("best-test",)
    for text in ("also=", "also=[]", "also=best-val"):
        _, settings = split_keys(parse_set([text]), "--set")
        assert resolve_settings({"also": ("last",)}, settings).also == ()
    with pytest.raises(UserError, match=r"^--set: also best-tst: .*did you mean 'best-test'"):
        check_values(*split_keys({"also": "last, best-tst"}, "--set"), "--set")


def test_further_rules_need_a_validation_part_too():
    values = {"selection": "last", "val_fraction": 0}
    assert build(Settings, values | {"also": ("best-test",)}).also == ("best-test",)
    with pytest.raises(UserError, match="also best-val needs val_fraction above 0; or leave"):
        build(Settings, values | {"also": ("best-test", "best-val")})


def test_what_is_only_scored_has_no_further_rules():
    assert Settings(also=("last",)).without_training().also == ()


def test_negative_seed_is_refused():
    with pytest.raises(UserError, match="seeds"):
        build(Plan, {"seeds": (-1,), "output": "x"})


def test_set_values_are_read_as_yaml():
    assert parse_set(["lr=0.1", "limit=null", "schedule=cosine"]) == {
        "lr": 0.1,
        "limit": None,
        "schedule": "cosine",
    }
    with pytest.raises(UserError, match="key=value"):
        parse_set(["lr"])
    with pytest.raises(UserError, match="not valid YAML"):
        parse_set(["lr=["])


def test_presets_do_not_nest():
    with pytest.raises(UserError, match="use --preset standard"):
        split_keys({"preset": "standard"}, "--set")


@pytest.mark.parametrize("name", ["quick", "laptop", "standard", "published"])
def test_shipped_presets_are_valid(name):
    plan, settings = split_keys(read_preset(name), name)
    build(Plan, plan | {"output": "x"})
    found = build(Settings, settings)
    assert found.selection == "last" or (found.selection == "best-val" and found.val_fraction > 0)


def test_unknown_or_broken_preset(tmp_path):
    with pytest.raises(UserError, match="did you mean 'quick'"):
        read_preset("quik")
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: [1")
    with pytest.raises(UserError, match=r"mine.yaml: not valid YAML"):
        read_preset(str(path))
    path.write_text("- epochs")
    with pytest.raises(UserError, match="mapping"):
        read_preset(str(path))


def test_overrides_of_single_detectors_are_checked():
    plan, _ = split_keys({"overrides": {"acm": {"crop-size": 96}}}, "here")
    assert plan["overrides"] == {"acm": {"crop_size": 96}}
    with pytest.raises(UserError, match="here: overrides: acm: unknown key 'crop'; did you mean"):
        split_keys({"overrides": {"acm": {"crop": 96}}}, "here")
    for wrong in ([1], 5, {"acm": 5}, {"acm": None}):
        with pytest.raises(UserError, match="overrides: write them as"):
            split_keys({"overrides": wrong}, "here")
    with pytest.raises(UserError, match="here: overrides: acm: 'seeds' is no setting"):
        split_keys({"overrides": {"acm": {"seeds": 1}}}, "here")
