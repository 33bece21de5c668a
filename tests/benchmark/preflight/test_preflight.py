"""What is known before anything runs: room on the disk, memory, time."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from benchmark import environment
from benchmark.environment import cpu_count, cpu_name
from benchmark.errors import UserError
from benchmark.execute.cards import Card
from benchmark.plan.job import Job
from benchmark.plan.matrix import make_matrix
from benchmark.plan.parts import check_parts, held_out
from benchmark.preflight import hours, look_ahead, memory
from benchmark.preflight.data import Pixels, survey
from benchmark.preflight.disk import check_disk
from benchmark.preflight.hours import estimate
from benchmark.preflight.memory import check_memory, need
from benchmark.preflight.show import describe_hours
from benchmark.preflight.site import Site
from benchmark.preflight.speed import Speed, keep, measured
from benchmark.preflight.speed_child import rates
from benchmark.records.record import read_record
from benchmark.settings.plan import Plan
from benchmark.settings.run_settings import Settings

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
RECORDS = [
    record
    for record in map(read_record, sorted(REFERENCE.glob("*/runs/**/record.json")))
    if record.history and record.environment.device != "cuda"
]
SPEED = Speed(50e9, 2.4e9)


def job(detector="mshnet", **settings):
    return Job("synthetic", detector, "sls", 0, Settings(**settings), "quick")


def cpu(jobs=1):
    return Site([Card("cpu", jobs, cpu_count())])


def cells(tmp_path, **changes):
    values = {"detectors": ("acm",), "losses": ("sls",), "seeds": (0,), "output": tmp_path}
    plan = Plan(**values | changes)
    return make_matrix(plan, {}, {"crop_size": 128, "epochs": 2}), plan


def disk(monkeypatch, free):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free, 0, free))


def test_room_for_weights_and_checkpoints(monkeypatch, tmp_path):
    weights = 4 * 4.066e6
    jobs = [job(selection="last"), job(selection="last", epochs=9)]
    # weights of both, and while they train two checkpoints with AdaGrad's sums, one run at a time
    least = 2 * weights + 2 * 2 * weights + 2 * 32 * 2**10
    disk(monkeypatch, least)
    check_disk(jobs, tmp_path / "new" / "out", cpu())
    assert list(tmp_path.iterdir()) == []
    disk(monkeypatch, least - 1)
    with pytest.raises(UserError, match=rf"--output {tmp_path}/out: 93.1 MiB .* about 93.1 MiB"):
        check_disk(jobs, tmp_path / "out", cpu())
    disk(monkeypatch, 1e8)
    with pytest.raises(UserError):  # one more checkpoint of each, and both at once
        check_disk(jobs, tmp_path / "out", cpu(2))


def test_an_output_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UserError, match="cannot write there"):
            check_disk([job()], output, cpu())


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.cell.id)
def test_memory_is_no_more_than_runs_have_taken(record):
    """Else something would be refused that runs."""
    told = need(
        Job.from_dict(record.cell.model_dump() | {"settings": record.settings}), None, cpu()
    )
    assert (told > memory.BASE) == (record.cell.detector in ("acm", "alcnet", "mshnet"))
    assert memory.BASE <= told <= record.cost.peak_memory_bytes


def test_memory_that_is_refused(monkeypatch):
    large = job(batch_size=16, crop_size=512)  # 16 x 4 x 47.9 M values of 4 bytes
    assert need(large, None, cpu()) == pytest.approx(12.26e9 + memory.BASE, rel=0.01)
    bf16 = job(batch_size=16, crop_size=512, precision="bf16")
    assert need(bf16, None, cpu()) == pytest.approx(6.13e9 + memory.BASE, rel=0.02)
    monkeypatch.setattr(memory, "host_memory", lambda: 12 * 10**9)
    check_memory([large, job()], {}, cpu())  # by less than the margin
    with pytest.raises(UserError, match=r"2 runs at a time, .* or fewer --jobs-per-device"):
        check_memory([large, job(), large.__class__(**vars(large) | {"seed": 1})], {}, cpu(2))
    monkeypatch.setattr(memory, "host_memory", lambda: 8 * 10**9)
    with pytest.raises(UserError, match=r"would take about 12 GiB .* this machine has 7 GiB; use"):
        check_memory([large], {}, cpu())
    check_memory([job("mshnet:scales=1", batch_size=16, crop_size=512)], {}, cpu())  # not sure
    monkeypatch.setattr(memory, "host_memory", lambda: None)
    check_memory([large], {}, cpu())


def test_a_batch_has_no_more_images_than_there_are():
    found = survey("synthetic:train=10", None, [])
    small = need(job(batch_size=4096), found, cpu())
    assert small == need(job(batch_size=9), None, cpu())  # 1 is held out


def test_memory_within_a_control_group(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(environment, "_cgroup_limits", lambda: [tmp_path / "none", limit])
    whole = environment.host_memory()
    limit.write_text("max\n")
    assert environment.host_memory() == whole
    limit.write_text("1000000\n")
    assert environment.host_memory() == 1_000_000


@pytest.mark.parametrize("fraction", [0, 0.1, 0.5])
@pytest.mark.parametrize("images", [1, 2, 3, 50])
def test_parts(images, fraction):
    held = held_out(images, fraction)
    settings = Settings(val_fraction=fraction, selection="last")
    if images == 1 and fraction:
        assert held == 0
    elif fraction:
        assert 1 <= held < images
    check_parts("x", images, settings)
    if held == 0 and fraction:
        with pytest.raises(UserError, match="dataset 'x': 1 training image"):
            check_parts("x", images, settings.model_copy(update={"selection": "best-val"}))


def test_time_of_a_training():
    settings = Settings(epochs=10, batch_size=4, crop_size=128, eval_every=5, protocols=("native",))
    pixels = Pixels(training=41, validation=2 * 256**2, test=6 * 256**2, tests=6)
    # 10 steps an epoch; a step is 4 quarters of an image, thrice; 2 validations of 2 images
    assert hours._training(settings, pixels, 0.5) == pytest.approx(
        10 * 10 * (hours.STEP + 3 * 0.5) + 2 * 2 * 0.5
    )
    assert hours._scoring(settings, pixels, 0.5) == pytest.approx(6 * 0.5 + 6 * hours.JUDGING)
    both = settings.model_copy(update={"also": ("best-test",)})
    assert hours._training(both, pixels, 0.5) == pytest.approx(
        10 * 10 * (hours.STEP + 3 * 0.5) + 2 * 8 * 0.5
    )
    many = settings.model_copy(update={"protocols": ("native", "opdc", "mshnet")})
    assert hours._scoring(many, pixels, 0.5) == pytest.approx(12 * 0.5 + 18 * hours.JUDGING)


def test_large_cells_fill_the_lanes(tmp_path):
    made, plan = cells(tmp_path, seeds=(0, 1, 2), profile=False)
    data = {"synthetic": survey("synthetic", None, [])}
    alone, two = (estimate(made, plan, data, cpu(n), {"fp32": SPEED}) for n in (1, 2))
    (cell,) = set(alone.cells.values())
    assert alone.total == pytest.approx(3 * cell + hours.REPORT)
    assert two.total == pytest.approx(2 * cell + hours.REPORT)
    # 25 steps of 8 images of 128 px, 22 and 80 images to score
    image = hours.OTHERS * (6.559e9 / 50e9 + 70.5e6 / 2.4e9)
    training = 2 * 25 * (hours.STEP + 3 * 2 * image) + 2 * 22 / 4 * image
    scoring = 80 / 4 * image + 80 * hours.JUDGING
    assert cell == pytest.approx(hours.START + training + scoring)


def test_time_is_that_of_an_earlier_run(tmp_path):
    record = next(
        r for r in RECORDS if r.cell.detector == "mshnet" and r.environment.precision == "fp32"
    )
    folder = tmp_path / "runs/sirst/mshnet+sls/seed0-x"
    folder.mkdir(parents=True)
    raw = record.model_dump(by_alias=True)
    here = {"device": cpu_name(), "threads": cpu_count()}
    raw["environment"] |= here
    (folder / "record.json").write_text(json.dumps(raw))
    site = cpu()
    pace = hours._known_pace(tmp_path, "mshnet", "fp32", site)
    found = Pixels(
        training=record.data.train_images,
        validation=record.data.val_images
        * sum(i.height * i.width for i in record.scores["native"].images)
        / record.data.test_images,
        test=0,
        tests=0,
    )
    settings = Settings(**record.settings)
    assert hours._training(settings, found, pace) == pytest.approx(record.cost.train_seconds)
    assert hours._known_pace(tmp_path, "mshnet", "bf16", site) is None
    assert hours._known_pace(tmp_path, "acm", "fp32", site) is None


def test_a_run_leaves_the_speed_of_its_device(tmp_path, monkeypatch):
    monkeypatch.setenv("IRSTD_CACHE", str(tmp_path))
    (made, *_), _ = cells(tmp_path, detectors=("mshnet",))
    record = next(
        r for r in RECORDS if r.cell.detector == "mshnet" and r.environment.precision == "fp32"
    )
    monkeypatch.setattr(type(made.folder), "read", lambda folder, job_id: record)
    hours.learn([made], cpu())
    found = measured([job()], cpu(), now=False)
    pace = hours._pace_of(record)
    assert hours._pace("mshnet", "fp32", found) == pytest.approx(pace)
    keep(cpu(), "fp32", 1, SPEED)
    hours.learn([made], cpu())  # a measurement counts more
    assert measured([job()], cpu(), now=False) == {"fp32": SPEED}


def test_what_is_not_known_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("IRSTD_CACHE", str(tmp_path / "cache"))
    made, plan = cells(tmp_path, detectors=("acm", "top_hat"), device="cpu")
    outlook = look_ahead(made, plan)
    assert outlook.problems == []
    assert outlook.hours.unmeasured == ["acm"]
    assert outlook.hours.unknown == ["top_hat"]
    assert "--dry-run --measure" in describe_hours(outlook.hours)
    keep(outlook.site, "fp32", 1, SPEED)
    text = describe_hours(look_ahead(made, plan).hours)
    assert text.startswith("about ")
    assert "top_hat: known after a first run" in text
    two = [job(), job("acm")]
    assert measured(two, cpu(2), now=False) == {}  # more at a time is another speed
    next((tmp_path / "cache").glob("speed-*")).write_text("{")
    assert measured([job()], outlook.site, now=False) == {}


def test_rates():
    for precision in ("fp32", "bf16"):
        found = rates(torch.device("cpu"), precision, 0.05)
        assert 1e8 < found["macs"] < 1e15
        assert 1e6 < found["values"] < 1e14


@pytest.mark.extra
def test_a_device_is_measured_once(tmp_path, monkeypatch):
    """Two processes at a time, which each take their seconds."""
    monkeypatch.setenv("IRSTD_CACHE", str(tmp_path))
    site = cpu(2)
    speed = measured([job(), job("acm")], site, now=True)["fp32"]
    assert min(speed) > 1e6
    assert measured([job(), job()], site, now=False) == {"fp32": speed}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_done_already_is_not_looked_for(tmp_path):
    """Its images may have gone."""
    made, plan = cells(tmp_path, datasets=("folder",), data_root=tmp_path)
    assert len(look_ahead(made, plan).problems) == 1
    assert look_ahead([], plan).problems == []
