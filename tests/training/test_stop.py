"""When a run leaves before its end."""

import time

import pytest

from benchmark.training.stop import MARGIN, Interrupted, Stop


def test_it_goes_on_until_somebody_asks():
    stop = Stop()
    stop.heard = True
    stop.check()
    stop.check_epoch(1e9)
    stop.ask()
    with pytest.raises(Interrupted, match="stopped"):
        stop.check()
    with pytest.raises(Interrupted, match="stopped"):
        stop.check_epoch(None)


def test_no_epoch_is_started_that_would_not_end_in_time(monkeypatch):
    stop = Stop(deadline=1000.0)
    monkeypatch.setattr(time, "time", lambda: 900.0)
    stop.check_epoch(None)  # nothing is known yet
    stop.check_epoch(99 / MARGIN)
    with pytest.raises(Interrupted, match="time limit"):
        stop.check_epoch(101 / MARGIN)
    monkeypatch.setattr(time, "time", lambda: 1001.0)
    with pytest.raises(Interrupted, match="time limit"):
        stop.check_epoch(None)


def test_earlier_sessions_tell_how_long_an_epoch_takes_but_never_for_ever(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 900.0)
    stop = Stop(deadline=1000.0)
    assert stop.expected(50.0) == 50.0
    assert stop.expected(None) is None
    assert stop.expected(600.0) is None  # of a slower machine: else it would wait for ever
    assert Stop().expected(50.0) is None
