"""What is kept on disk while a training goes on, and what comes back from there."""

import time

import pytest
import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.records.record import Epoch
from benchmark.records.store import RunFolder
from benchmark.settings.run_settings import Settings
from benchmark.training import checkpoints
from benchmark.training.checkpoints import Best, Origin, Saver, State, load, resume
from benchmark.training.optim import make_optimizer

ORIGIN = Origin("t", ["a", "b"])
EPOCH = Epoch(epoch=0, loss=0.5, lr=0.1, seconds=1.0, val={"iou": 0.2})


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def network(device="cpu", on_host=None, **settings):
    """A linear map after one step, and its optimizer."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1).to(device)
    optimizer = make_optimizer(model, Settings(**settings), on_host)
    if on_host is None:
        model(torch.randn(4, 3, device=device)).sum().backward()
        optimizer.step()
    return model, optimizer


def saved(folder, last=True, **state):
    model, optimizer = network()
    state = State(**{"next_epoch": 1, "history": [EPOCH], "origin": ORIGIN} | state)
    saver = Saver(folder, model, optimizer, None, state)
    for rule in state.best:
        saver.keep_best(rule, 0, model)
    saver.epoch_done(last=last)
    return model, optimizer, saver


def test_everything_comes_back(folder):
    model, optimizer, _ = saved(folder, best={"best-val": Best(0, 0.2)})
    other = nn.Linear(3, 1)
    other_optimizer = make_optimizer(other, Settings())
    resumed = resume(folder, other, other_optimizer, None, ORIGIN)
    assert resumed == State(1, [EPOCH], {"best-val": Best(0, 0.2)}, sessions=2, origin=ORIGIN)
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(load(folder.best("best-val", 0))["weight"], model.weight)
    sums = [next(iter(o.state.values()))["sum"] for o in (optimizer, other_optimizer)]
    assert torch.equal(*sums)


def test_it_is_written_once_a_minute_and_when_asked(folder, monkeypatch):
    model, _, saver = saved(folder, last=False)
    assert not folder.checkpoint.exists()
    after_one = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1  # half an epoch later
    saver.flush()
    assert torch.equal(load(folder.checkpoint)["detector"]["weight"], after_one)
    folder.checkpoint.unlink()
    saver.flush()
    assert not folder.checkpoint.exists()  # nothing new
    now = time.monotonic()
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now + checkpoints.SAVE_EVERY)
    saver.epoch_done(last=False)
    assert torch.equal(load(folder.checkpoint)["detector"]["weight"], model.weight)


def test_a_checkpoint_always_finds_its_best_weights(folder):
    """Killed between the two writes, or after a better epoch: the old pair is still there."""
    model, _, saver = saved(folder, best={"best-val": Best(0, 0.2), "best-test": Best(0, 0.1)})
    saver.state.best["best-val"] = Best(3, 0.4)
    saver.keep_best("best-val", 3, model)
    with pytest.MonkeyPatch.context() as patch:
        real = checkpoints.save

        def killed(path, payload):
            if path == folder.checkpoint:
                raise KeyboardInterrupt
            real(path, payload)

        patch.setattr(checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            saver.epoch_done(last=True)
    names = {path.name for path in folder.all_best()}
    assert names == {"best-val-0.pt", "best-val-3.pt", "best-test-0.pt"}
    other = nn.Linear(3, 1)
    state = resume(folder, other, make_optimizer(other, Settings()), None, ORIGIN)
    assert state.best["best-val"] == Best(0, 0.2)
    saver.epoch_done(last=True)
    assert {path.name for path in folder.all_best()} == {"best-val-3.pt", "best-test-0.pt"}


def test_the_best_of_an_epoch_that_was_not_finished_is_not_written(folder):
    """Stopped while the second rule was scored: the first has found a new best already."""
    model, _, saver = saved(folder, last=False, best={"best-val": Best(0, 0.2)})
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    saver.state.best |= {"best-val": Best(1, 0.3), "best-test": Best(1, 0.3)}
    for rule in saver.state.best:
        saver.keep_best(rule, 1, model)
    saver.flush()
    assert [path.name for path in folder.all_best()] == ["best-val-0.pt"]
    assert torch.equal(load(folder.best("best-val", 0))["weight"], before)
    other = nn.Linear(3, 1)
    state = resume(folder, other, make_optimizer(other, Settings()), None, ORIGIN)
    assert state.best == {"best-val": Best(0, 0.2)}


def test_a_checkpoint_without_its_best_weights_starts_anew(folder, capsys):
    saved(folder, best={"best-val": Best(0, 0.2)})
    folder.best("best-val", 0).unlink()
    other = nn.Linear(3, 1)
    state = resume(folder, other, make_optimizer(other, Settings()), None, ORIGIN)
    assert state == State(origin=ORIGIN)
    assert "without best-val-0.pt ignored, training starts anew" in capsys.readouterr().out


def test_another_network_names_the_remedy(folder):
    saved(folder)
    other = nn.Linear(4, 1)
    with pytest.raises(UserError, match=r"checkpoint\.pt: the checkpoint does not fit .* delete"):
        resume(folder, other, make_optimizer(other, Settings()), None, ORIGIN)


def test_other_images_name_the_remedy(folder):
    model, optimizer, _ = saved(folder)
    for other in (Origin("t", ["a", "c"]), Origin("other masks", ["a", "b"])):
        with pytest.raises(
            UserError, match=r"checkpoint\.pt: training images or masks have changed .* delete"
        ):
            resume(folder, model, optimizer, None, other)


@pytest.mark.parametrize("name", ["adagrad", "mxnet_adagrad", "adam", "adamw", "sgd"])
@pytest.mark.filterwarnings("ignore:.*meta parameter")
def test_a_checkpoint_of_a_cpu_goes_on_elsewhere_and_back(name, tmp_path):
    """What stays on the host and what goes to the device is as in a fresh optimizer there.

    The options of the file must not decide: Adagrad's step counters on a GPU cost a wait for each
    parameter in each step. The meta device stands for a GPU where torch can build for it.
    """
    there = RunFolder(tmp_path)
    model, optimizer = network(optimizer=name)
    Saver(there, model, optimizer, None, State(origin=ORIGIN)).epoch_done(last=True)

    def layout(found):
        return [
            {key: (value.device.type, value.dtype) for key, value in state.items()
             if torch.is_tensor(value)}
            for state in found.state.values()
        ]  # fmt: skip

    ours = name in ("adagrad", "mxnet_adagrad")
    where = ("meta", None) if ours else ("cpu", False)  # torch's fused ones know no meta device
    elsewhere, fresh = network(*where, optimizer=name)
    resumed = make_optimizer(elsewhere, Settings(optimizer=name), where[1])
    resume(there, elsewhere, resumed, None, ORIGIN)
    if ours:
        assert layout(resumed) == layout(fresh)
    for group, expected in zip(resumed.param_groups, fresh.param_groups, strict=True):
        assert torch.is_tensor(group["lr"])
        assert group["lr"].device == expected["lr"].device
        assert group.get("fused") == expected.get("fused")
        assert group.get("capturable") == expected.get("capturable")
    assert resumed.param_groups[0].get("capturable", False) == (name in ("adam", "adamw"))

    # a file as a GPU writes it: the rate a tensor, other options
    payload = load(there.checkpoint)
    for group in payload["optimizer"]["param_groups"]:
        group |= {"lr": torch.tensor(0.05), "fused": None, "capturable": True}
    checkpoints.save(there.checkpoint, payload)
    back, fresh = network(optimizer=name)
    again = make_optimizer(back, Settings(optimizer=name))
    resume(there, back, again, None, ORIGIN)
    assert layout(again) == layout(fresh)
    for group, expected in zip(again.param_groups, fresh.param_groups, strict=True):
        assert {k: v for k, v in group.items() if k != "params"} == {
            k: v for k, v in expected.items() if k != "params"
        }
    back(torch.randn(4, 3)).sum().backward()
    again.step()
