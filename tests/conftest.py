"""One thread per process, as the harness's workers on a shared machine; plug-ins on request."""

import os
from pathlib import Path

import pytest
import torch

import datasets
import detectors
import losses
from benchmark.registry import add_plugins

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _data_cache_of_its_own(tmp_path_factory):
    """No test reads or fills the cache of the person who runs it."""
    os.environ["IRSTD_CACHE"] = str(tmp_path_factory.mktemp("data-cache"))


def pytest_addoption(parser):
    parser.addoption(
        "--plugins",
        dest="plugin_folder",
        type=Path,
        help="folder whose detectors and losses the contract tests include",
    )


def pytest_configure(config):
    folder = config.getoption("plugin_folder")
    if folder is not None:
        add_plugins(folder, [detectors.REGISTRY, losses.REGISTRY, datasets.REGISTRY])
