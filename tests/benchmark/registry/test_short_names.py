"""Names for people and folders."""

import pytest

from benchmark.plan.job import Job
from benchmark.registry.short_names import short_dataset
from benchmark.settings.run_settings import Settings


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("sirst", "sirst"),
        ("sirst:idx_320", "sirst:idx_320"),
        ("folder:/home/me/night", "folder:night"),
        ("folder:/home/me/night:test_fraction=0.3", "folder:night:test_fraction=0.3"),
        ("folder:/data/my | set [1]", "folder:my___set__1_"),
        ("folder:/a:b/c=d", "folder:c=d"),
    ],
)
def test_short_dataset(name, short):
    assert short_dataset(name) == short


def test_folders_of_runs_hold_no_path(tmp_path):
    jobs = [Job(f"folder:/{place}/night", "unet", "sls", 0, Settings(), "quick") for place in "ab"]
    folders = [job.folder(tmp_path).relative_to(tmp_path) for job in jobs]
    assert [folder.parts[:3] for folder in folders] == [("runs", "folder-night", "unet+sls")] * 2
    assert folders[0] != folders[1]  # two folders of one name are two data sets
    assert jobs[0].label == "folder:night unet+sls seed 0"
