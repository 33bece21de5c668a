"""Anyone's own data: folders and suffixes, three ways to split, PATH as part of the name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import datasets
from benchmark.errors import UserError
from datasets import list_items, load_dataset, match_datasets
from datasets.folder import share
from tests.datasets.tiny import TEST, TRAIN, picture, target, write_list, write_pairs

MANY = tuple(f"frame_{i:03d}" for i in range(40))


def names(data):
    return [item.name for item in data]


@pytest.mark.parametrize("images", ["images", "Imgs", "img", "image"])
@pytest.mark.parametrize(
    ("masks", "suffix"),
    [("masks", ""), ("Labels", "_mask"), ("GT", "_gt"), ("mask", "_pixels0"), ("label", "_label")],
)
def test_folders_and_suffixes(images, masks, suffix, tmp_path):
    write_pairs(tmp_path / images, tmp_path / masks, TEST, suffix, 4, ".bmp", ".tiff")
    write_list(tmp_path / "test.txt", TEST)
    for data in (load_dataset(f"folder:{tmp_path}"), load_dataset("folder", tmp_path)):
        assert [s.name for s in data] == list(TEST)
        assert np.array_equal(data[1].image, picture(5))
        assert np.array_equal(data[1].mask, target(5))
        assert data.notes == []


@pytest.mark.parametrize("below", ["", "splits/", "img_idx/", "idx/", "Lists/"])
def test_split_by_lists(below, tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", TRAIN + TEST)
    write_list(tmp_path / f"{below}train.txt", TRAIN[:3])
    write_list(tmp_path / f"{below}val.txt", TRAIN[3:])
    write_list(tmp_path / f"{below}test.txt", [f"images/{name}.png" for name in TEST])
    by_split = {s: names(list_items("folder", tmp_path, s)) for s in ("train", "val", "test")}
    assert by_split == {"train": ["a1", "a2", "a3"], "val": ["a4"], "test": ["b1", "b2"]}
    data = load_dataset("folder", tmp_path, "trainval")
    assert names(data) == list(TRAIN)
    assert data.rule == "lists"
    assert data.notes == [
        "the parts train and val are trained on together; the validation part is drawn from both "
        "by seed"
    ]
    write_list(tmp_path / f"{below}trainval.txt", TRAIN[1:])
    assert names(list_items("folder", tmp_path, "trainval")) == list(TRAIN[1:])


def test_lists_called_after_the_folder(tmp_path):
    folder = tmp_path / "night"
    write_pairs(folder / "images", folder / "masks", TRAIN + TEST)
    write_list(folder / "img_idx" / "train_night.txt", TRAIN)
    write_list(folder / "img_idx" / "test_night.txt", TEST)
    assert names(list_items(f"folder:{folder}", split="trainval")) == list(TRAIN)
    assert names(list_items(f"folder:{folder}")) == list(TEST)


@pytest.mark.parametrize("inside", [False, True], ids=["train/images", "images/train"])
def test_split_by_folders(inside, tmp_path):
    def places(part):
        return (
            (tmp_path / "images" / part, tmp_path / "masks" / part)
            if inside
            else (tmp_path / part / "images", tmp_path / part / "masks")
        )

    write_pairs(*places("Train"), TRAIN[:3])
    write_pairs(*places("val"), TRAIN[3:], first=3)
    write_pairs(*places("test"), TEST, first=4)
    assert names(list_items("folder", tmp_path, "trainval")) == list(TRAIN)
    data = load_dataset("folder", tmp_path)
    assert names(data) == list(TEST)
    assert data.rule == "folders"
    assert np.array_equal(data[0].image, picture(4))


def test_one_name_in_two_folders(tmp_path):
    for part in ("train", "val"):
        write_pairs(tmp_path / part / "images", tmp_path / part / "masks", ["a"])
    message = r"train/images/a\.png and .*val/images/a\.png are both 'a'; rename one of them"
    with pytest.raises(UserError, match=message):
        list_items("folder", tmp_path, "trainval")


def test_split_by_fraction(tmp_path):
    write_pairs(tmp_path / "images", tmp_path / "masks", MANY)
    train, test = (load_dataset("folder", tmp_path, s) for s in ("trainval", "test"))
    assert set(names(train)) | set(names(test)) == set(MANY)
    assert not set(names(train)) & set(names(test))
    assert 2 <= len(test) <= 16
    assert test.rule == "hash of the name, test_fraction 0.2"
    assert test.notes == [
        f"no split lists or folders, so {len(test)} of 40 images are test images, by a hash of "
        "their names (test_fraction 0.2)"
    ]
    more = list_items(f"folder:{tmp_path}:test_fraction=0.6")
    assert set(names(test)) < set(names(more))  # a larger part holds the smaller one
    write_pairs(tmp_path / "images", tmp_path / "masks", ["another", "yet_another"])
    assert set(names(test)) <= set(names(list_items("folder", tmp_path)))  # nobody changes sides


def test_shares_are_uniform():
    shares = np.sort([share(f"image{i}") for i in range(2000)])
    assert np.abs(shares - np.linspace(0, 1, 2000)).max() < 0.04


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda r: write_pairs(r / "images", r / "masks", "ab"), "folder:{r}:test_fraction=0.01",
         r"of 2 images a test_fraction of 0\.01 leaves 2 to train on and 0 to test; .* test\.txt$"),
        (lambda r: write_pairs(r / "images", r / "masks", "ab"), "folder:{r}:test_fraction=1.5",
         r"test_fraction is 1\.5, must be between 0 and 1"),
        (lambda r: write_pairs(r / "images", r / "masks", "ab"), "folder:{r}:test_fraction=half",
         "test_fraction is 'half', must be a number"),
        (lambda r: [(r / part).mkdir() for part in ("images", "masks")], "folder:{r}",
         r"{r}/images: no images in this folder \(looked for \.png, .*\); found: nothing$"),
        (lambda r: (r / "pictures").mkdir(), "folder:{r}",
         r"^dataset 'folder:{r}': no images and masks here; looked for a folder images/ "
         r"\(or image/, imgs/, img/\) and a folder masks/ .* in it; found: pictures/$"),
        (lambda r: write_pairs(r / "mine" / "images", r / "mine" / "masks", "ab"), "folder:{r}",
         r"did you mean {r}/mine\?$"),
        (lambda r: (write_pairs(r / "images", r / "masks", "ab"), write_list(r / "train.txt", "a")),
         "folder:{r}", "no images of the split 'test': the split by lists has only train$"),
        (lambda r: None, "folder:{r}/none", "{r}/none: the folder does not exist"),
        (lambda r: None, "folder:{r}/a,b", None),
        (lambda r: None, "folder:", "no path after the colon; write folder:PATH"),
        (lambda r: None, "folder", "say where with --data-root DIR"),
        (lambda r: (r / "f").touch(), "folder:{r}/f", "{r}/f: this is a file"),
        (lambda r: None, "folder:{r}:split=test", "{r}:split=test: the folder does not exist"),
    ],
    ids=["too few", "fraction", "word", "empty", "foreign", "deeper", "no test list", "nowhere",
         "comma", "no path", "no root", "file", "no option"],
)  # fmt: skip
def test_own_data_that_cannot_be_read(make, name, message, tmp_path, monkeypatch):
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)
    make(tmp_path)
    name = name.replace("{r}", str(tmp_path))
    message = message or r"a: the folder does not exist \(a comma in a path would end the name\)"
    with pytest.raises(UserError, match=message.replace("{r}", str(tmp_path))) as error:
        [list_items(found) for found in match_datasets([name])]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["my data", "a=b", "a:b", "x[1]*?", "größer", "q:r=s:t"])
def test_unusual_paths(name, tmp_path):
    folder = tmp_path / name
    write_pairs(folder / "images", folder / "masks", MANY)
    (matched,) = match_datasets([f"folder:{folder}:test_fraction=0.5"])
    assert matched == f"folder:{folder}:test_fraction=0.5"
    assert 10 <= len(load_dataset(matched)) <= 30


def test_one_folder_has_one_name(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for way in ("data", "./data/", "link", f"{tmp_path}/data/../data"):
        assert match_datasets([f"folder:{way}"]) == [f"folder:{tmp_path}/data"]
    assert match_datasets(["folder:data:test_fraction=0.2"]) == [f"folder:{tmp_path}/data"]
    assert match_datasets(["folder"], "data") == [f"folder:{tmp_path}/data"]
    assert match_datasets(["folder:test_fraction=0.3"], "data") == [
        f"folder:{tmp_path}/data:test_fraction=0.3"
    ]


def test_a_path_needs_no_data_root():
    assert datasets.REGISTRY.get("folder:/").info.needs_root is False
    assert datasets.REGISTRY.get("folder").info.needs_root


@given(st.text(min_size=1, max_size=30))
def test_share_is_a_fraction(name):
    assert 0 <= share(name) < 1
