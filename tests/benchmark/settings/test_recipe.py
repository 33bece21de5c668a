"""Recipes by name, and what tables say of trainings that depart from theirs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import detectors
from benchmark.commands.show import print_entry
from benchmark.errors import UserError
from benchmark.plan.matrix import make_matrix
from benchmark.report.collect import collect
from benchmark.report.tables import markdown, print_tables
from benchmark.settings.layers import PRESETS, read_preset
from benchmark.settings.plan import Plan
from benchmark.settings.recipe import list_recipes, read_recipe
from benchmark.settings.run_settings import TRAINING, Settings
from tests.benchmark.report.test_report_sweep import make_record, write


def cells(tmp_path, recipe, detector="mshnet", options=None, **more):
    plan = Plan(detectors=(detector,), output=tmp_path, recipe=recipe, **more)
    return make_matrix(plan, {}, options or {})


def test_there_are_these_and_each_says_what_it_is():
    assert list_recipes() == ["published", "basicirstd", "laptop", "mshnet", "quick"]
    for recipe in map(read_recipe, list_recipes()):
        assert recipe.about
        assert recipe.source


@pytest.mark.parametrize("name", ["mshnet", "basicirstd", "laptop", "quick"])
def test_recipes_for_every_detector_alike_leave_nothing_open(name):
    recipe = read_recipe(name)
    assert set(recipe.settings) == set(TRAINING)
    assert not recipe.overrides


def test_the_published_numbers(tmp_path):
    (cell,) = cells(tmp_path, "mshnet", "dnanet")
    s = cell.job.settings
    assert (s.optimizer, s.lr, s.batch_size, s.epochs) == ("adagrad", 0.05, 4, 400)
    assert (s.warm_epoch, s.crop_size, s.base_size, s.scale_jitter) == (5, 256, 256, 2.0)
    (cell,) = cells(tmp_path, "basicirstd", "acm")
    s = cell.job.settings
    assert (s.optimizer, s.lr, s.batch_size, s.epochs) == ("adam", 5e-4, 16, 400)
    assert (s.schedule, s.augmentation, s.crop_size, s.positive_crops) == (
        "steps",
        "patch",
        256,
        0.5,
    )
    (cell,) = cells(tmp_path, "published", "dnanet")
    assert (cell.job.settings.epochs, cell.job.settings.batch_size) == (1500, 16)


def test_the_cell_knows_what_was_changed(tmp_path):
    (cell,) = cells(tmp_path, "mshnet", options={"epochs": 60, "lr": 0.05, "limit": 24})
    assert cell.job.recipe == "mshnet"
    assert cell.job.changed == {"epochs": 400, "limit": None}
    (plain,) = cells(tmp_path, "mshnet")
    assert plain.job.changed == {}
    assert plain.job.id != cell.job.id


def test_overrides_of_a_recipe_reach_variants_and_are_no_change(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 6\noverrides: {acm: {epochs: 12}}\n")
    (cell,) = cells(tmp_path, str(path), "acm:port")
    assert cell.job.settings.epochs == 12
    assert cell.job.settings.optimizer == "adam"  # the variant's own
    assert cell.job.changed == {}
    (cell,) = cells(tmp_path, str(path), "acm", overrides={"acm": {"epochs": 1}})
    assert (cell.job.settings.epochs, cell.job.changed) == (1, {"epochs": 12})


def test_what_no_paper_has_is_off_in_their_recipes(tmp_path):
    """A warm-up by another loss and a prior on the output are ours: `quick` needs them."""
    every = [name for name in detectors.REGISTRY.match(["*"])
             if detectors.REGISTRY.get(name).info.trained]  # fmt: skip
    for recipe in ("published", "mshnet", "basicirstd"):
        for name in every:
            (cell,) = cells(tmp_path, recipe, name)
            s = cell.job.settings
            assert (s.warm_loss, s.warm_loss_share, s.output_prior) == (None, 0, None)


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_presets_name_recipes_and_set_no_training_themselves(name):
    preset = read_preset(name)
    read_recipe(preset["recipe"])
    assert not set(preset) & set(TRAINING)


def test_every_detector_takes_the_common_recipes(tmp_path):
    for name in ("mshnet", "basicirstd", "laptop", "quick"):
        plan = Plan(detectors=("all", "baseline"), output=tmp_path, recipe=name)
        assert len(make_matrix(plan, {}, {})) >= 8


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mshnt", None, "no such recipe or file; did you mean 'mshnet'"),
        ("none.yaml", None, "no such recipe or file"),
        ("x.yaml", "epochs: [", "not valid YAML"),
        ("x.yaml", "- 3", "must be a YAML mapping"),
        ("x.yaml", "epoch: 3", "unknown key 'epoch'; did you mean 'epochs'"),
        ("x.yaml", "seeds: 3", "'seeds' is no setting of a training"),
        ("x.yaml", "overrides: {acm: {limit: 3}}", "'limit' is no setting of a training"),
    ],
)
def test_mistakes_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=f"--recipe .*{message}"):
        read_recipe(str(path) if name.endswith(".yaml") else name)


@pytest.mark.parametrize("name", ["mshnet", "published"])
def test_a_file_cannot_pose_as_a_recipe_that_there_is(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text("epochs: 1\n")
    with pytest.raises(UserError, match=f"there is a recipe '{name}' already"):
        read_recipe(str(path))


def test_equal_settings_of_two_recipes_are_two_cells(tmp_path):
    """MSHNet's own recipe is the recipe mshnet; each has its table."""
    (one,), (other,) = (cells(tmp_path, name) for name in ("mshnet", "published"))
    assert one.job.settings == other.job.settings
    assert one.job.id != other.job.id


def test_tables_warn_of_runs_that_were_trained_on_other_files(tmp_path):
    one, other = make_record("acm"), make_record("mshnet")
    assert "different images or masks" not in markdown(collect(write(tmp_path / "a", one)), [], "")
    other.data.train_hash = "changed"
    page = markdown(collect(write(tmp_path / "b", one, other)), [], "")
    assert "Runs of seed 0 were trained on different images or masks" in page


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("about: short\nepochs: 7\noptimizer: adam\nlr: 0.001\n")
    (cell,) = cells(tmp_path, str(path), "acm")
    assert (cell.job.recipe, cell.job.settings.epochs) == ("mine", 7)
    assert cell.job.settings.batch_size == detectors.REGISTRY.get("acm").info.recipe["batch_size"]


def test_tables_say_what_departs_from_the_recipe(tmp_path):
    changed = make_record("mshnet", recipe="mshnet", settings={"epochs": 60})
    changed.cell.changed = {"epochs": 400}
    plain = make_record("acm", recipe="basicirstd")
    collection = collect(write(tmp_path, changed, plain))
    page = markdown(collection, [], "")
    assert "recipe mshnet (changed) · last" in page
    assert "Changed from the recipe mshnet: epochs = 60 instead of 400 (mshnet)." in page
    assert "recipe basicirstd · last" in page
    console = Console(width=200, file=io.StringIO())
    print_tables(collection, console)
    assert "recipe mshnet (changed)" in console.file.getvalue()


def test_settings_that_make_up_a_recipe_are_settings():
    assert set(TRAINING) <= set(Settings.model_fields)


def test_show_knows_recipes_and_all_that_has_one_name():
    def shown(name):
        console = Console(width=200, file=io.StringIO())
        assert print_entry(name, console)
        return console.file.getvalue()

    assert "epochs 18, batch_size 4" in shown("laptop")
    text = shown("mshnet")
    for part in ("detector mshnet", "protocol mshnet", "recipe mshnet", "arXiv:2403.19366"):
        assert part in text
