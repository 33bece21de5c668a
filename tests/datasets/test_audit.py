"""The audit: every kind of damage is found, named, and nothing else is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmark.commands.main import main
from benchmark.errors import UserError
from datasets.audit import audit
from datasets.audit.findings import CODES, SEVERITIES
from datasets.audit.others import sets_below
from tests.datasets.skies import clouds, grey

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZE = (60, 80)
TRAIN, TEST = ["a", "b", "c", "d"], ["e", "f"]


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def target(value=255, size=SIZE):
    mask = np.zeros(size, np.uint8)
    mask[20:22, 30:33] = value
    return mask


def write_list(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def write_set(folder, seeds, lists):
    """Images and masks in SIRST's folders; the image of a name is the sky of its seed."""
    for name, seed in seeds.items():
        save(grey(clouds(seed, *SIZE)), folder / "images" / f"{name}.png")
        save(target(), folder / "masks" / f"{name}_pixels0.png")
    for path, names in lists.items():
        write_list(folder / path, names)


@pytest.fixture
def sirst(tmp_path):
    """A sound set of six images. Its published sizes are not its own: that is reported."""
    folder = tmp_path / "SIRST"
    seeds = {name: ord(name) for name in TRAIN + TEST}
    write_set(folder, seeds, {"idx_427/trainval.txt": TRAIN, "idx_427/test.txt": TEST})
    return folder


def plain(items, _):
    return items


def run(folder, name="sirst", against=()):
    """What is found beside the unpublished sizes."""
    report = audit(name, folder.parent, against, plain)
    return [f for f in report.findings if f.code != "list-size"]


def told(folder, **options):
    return [(f.code, f.message) for f in run(folder, **options)]


def test_a_sound_set(sirst):
    report = audit("sirst", sirst.parent, (), plain)
    assert [f.message for f in report.findings] == [
        "trainval has 4 images, published are 341",
        "test has 2 images, published are 86",
    ]
    assert (report.images, report.splits) == (6, {"trainval": 4, "test": 2})
    assert report.folder == str(sirst)


def fill(path, value):
    save(np.full(SIZE, value, np.uint8), path)


DAMAGES = {
    "no image": (
        lambda r: (r / "images/b.png").unlink(),
        "image-missing",
        "b.png",
        "is missing; it is in trainval",
    ),
    "no mask": (
        lambda r: (r / "masks/e_pixels0.png").unlink(),
        "mask-missing",
        "e_pixels0.png",
        "is missing; it is in test",
    ),
    "cut image": (
        lambda r: (r / "images/b.png").write_bytes((r / "images/b.png").read_bytes()[:900]),
        "image-unreadable",
        "b.png",
        "cannot be decoded",
    ),
    "foreign mask": (
        lambda r: (r / "masks/b_pixels0.png").write_bytes(b"no image"),
        "mask-unreadable",
        "b_pixels0.png",
        "cannot be decoded",
    ),
    "empty file": (
        lambda r: (r / "images/b.png").write_bytes(b""),
        "image-unreadable",
        "b.png",
        "cannot be decoded",
    ),
    "other size": (
        lambda r: save(target(size=(120, 160)), r / "masks/c_pixels0.png"),
        "mask-size",
        "c_pixels0.png",
        "mask is 160x120, its image 80x60; mask resized by nearest neighbour",
    ),
    "grey mask": (
        lambda r: save(target() - np.eye(*SIZE, dtype=np.uint8)[::-1] * 0 + np.pad(
            np.full((1, 5), 90, np.uint8), ((0, 59), (0, 75))), r / "masks/c_pixels0.png"),
        "mask-grey",
        "c_pixels0.png",
        "5 pixels are neither black nor white; binarised above half",
    ),
    "empty mask": (
        lambda r: fill(r / "masks/c_pixels0.png", 0),
        "mask-empty",
        "c_pixels0.png",
        "has no target",
    ),
    "full mask": (
        lambda r: fill(r / "masks/c_pixels0.png", 255),
        "mask-inverted",
        "c_pixels0.png",
        "100% of the pixels are target: is the mask inverted?",
    ),
    "large mask": (
        lambda r: save(np.pad(np.full((30, 30), 255, np.uint8), ((0, 30), (0, 50))),
                       r / "masks/c_pixels0.png"),
        "mask-large",
        "c_pixels0.png",
        "18.8% of the pixels are target",
    ),
    "unlisted image": (
        lambda r: save(grey(clouds(5, *SIZE)), r / "images/x.png"),
        "file-unlisted",
        "images",
        "1 of 7 files are in no split: x.png",
    ),
    "name twice in a list": (
        lambda r: write_list(r / "idx_427/trainval.txt", [*TRAIN, "b"]),
        "list-note",
        None,
        "lists b more than once; counted once",
    ),
    "no list": (
        lambda r: (r / "idx_427/trainval.txt").unlink(),
        "list-unusable",
        None,
        "trainval.txt: split list is missing",
    ),
    "empty list": (
        lambda r: (r / "idx_427/test.txt").write_text(""),
        "list-unusable",
        None,
        "test.txt: split list is empty",
    ),
    "name in both parts": (
        lambda r: write_list(r / "idx_427/test.txt", [*TEST, "b"]),
        "split-name",
        "b",
        "is in trainval and in test",
    ),
    "copy in the other part": (
        lambda r: Image.open(r / "images/b.png").save(r / "images/f.png", compress_level=1),
        "split-pixels",
        "b.png",
        "b.png (trainval) and f.png (test): same pixels",
    ),
    "copy in the same part": (
        lambda r: Image.open(r / "images/b.png").convert("RGB").save(r / "images/c.png"),
        "same-pixels",
        "b.png",
        "b.png and c.png: same pixels",
    ),
    "frame in the other part": (
        lambda r: save(grey(0.8 * clouds(ord("b"), *SIZE) + 9), r / "images/f.png"),
        "split-scene",
        "b.png",
        "b.png (trainval) and f.png (test): one scene, r = ",
    ),
    "frame in the same part": (
        lambda r: save(grey(clouds(ord("b"), *SIZE))[1:, 1:], r / "images/c.png"),
        "same-scene",
        "b.png",
        "b.png and c.png: one scene, r = ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "code", "file", "message"), DAMAGES.values(), ids=list(DAMAGES))
def test_damage_is_found(sirst, damage, code, file, message):
    damage(sirst)
    found = [f for f in run(sirst) if f.code == code]
    assert len(found) == 1
    assert message in found[0].message
    assert file is None or Path(found[0].files[0]).name == file
    # a list that is gone leaves its images unlisted, and another size may come with grey pixels
    others = {f.code for f in run(sirst)} - {code}
    assert others <= ({"file-unlisted"} if code == "list-unusable" else {"mask-size"})


def test_every_kind_of_finding_is_tested():
    tested = {code for _, code, _, _ in DAMAGES.values()}
    assert set(CODES) - tested == {"list-size", "sets-leak", "sets-share"}
    assert {severity for _, severity in CODES.values()} == set(SEVERITIES)


def test_training_and_validation_lists_are_kept_apart(sirst):
    write_list(sirst / "idx_427/train.txt", ["a", "b"])
    write_list(sirst / "idx_427/val.txt", ["b", "c"])
    assert told(sirst) == [("split-name", "is in train and in val")]


def test_a_zero_one_mask_is_sound(sirst):
    save(target(1), sirst / "masks" / "c_pixels0.png")
    assert run(sirst) == []


@pytest.fixture
def two_sets(tmp_path):
    """SIRST and NUAA-SIRST share images under other splits, as the real ones do.

    Two of SIRST's three test images are training images of the other, one of them with another
    brightness; one image is tested in both, one trained on in both.
    """
    write_set(
        tmp_path / "SIRST",
        {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
        {"idx_427/trainval.txt": "ab", "idx_427/test.txt": "cde"},
    )
    write_set(
        tmp_path / "NUAA-SIRST",
        {"a": 1, "c": 3, "d": 40, "e": 5, "z": 6},
        {"img_idx/train_NUAA-SIRST.txt": "acd", "img_idx/test_NUAA-SIRST.txt": "ez"},
    )
    save(grey(0.7 * clouds(4, *SIZE) + 30), tmp_path / "NUAA-SIRST" / "images" / "d.png")
    return tmp_path


def test_overlap_of_two_sets(two_sets):
    findings = run(two_sets / "SIRST", against=["nuaa"])
    assert [(f.code, f.message) for f in findings] == [
        (
            "sets-leak",
            "1 of 3 images of test are in train of nuaa (1 more by their scene)",
        ),
        ("sets-share", "1 of 3 images of test are in test of nuaa"),
        ("sets-share", "1 of 2 images of trainval are in train of nuaa"),
    ]
    assert [(Path(a).name, Path(b).name) for a, b, _ in findings[0].pairs] == [
        ("c.png", "c.png"),
        ("d.png", "d.png"),
    ]
    exact, similar = (score for _, _, score in findings[0].pairs)
    assert exact == 1.0 > similar > 0.9


def test_all_sets_below_a_root(two_sets):
    assert sets_below(two_sets, "sirst") == ["nuaa"]
    assert sets_below(two_sets, "sirst:idx_320") == ["nuaa"]
    assert sets_below(two_sets, "nuaa") == ["sirst"]


def test_own_images_and_other_layouts(tmp_path):
    for name in "abcdefgh":
        save(grey(clouds(ord(name), *SIZE)), tmp_path / "images" / f"{name}.bmp")
        save(target(), tmp_path / "masks" / f"{name}_mask.bmp")
    write_list(tmp_path / "train.txt", "abcdef")
    write_list(tmp_path / "test.txt", "gh")
    name = f"folder:{tmp_path}"
    assert audit(name, tmp_path, (), plain).findings == []
    save(target(), tmp_path / "masks" / "lost_mask.bmp")
    assert [f.code for f in audit(name, tmp_path, (), plain).findings] == ["file-unlisted"]


def test_nothing_to_audit(tmp_path):
    with pytest.raises(UserError, match="no SIRST here"):
        audit("sirst", tmp_path, (), plain)
    with pytest.raises(UserError, match="made in memory, it has no files"):
        audit("synthetic", tmp_path, (), plain)


def test_command_and_json(two_sets, capsys, monkeypatch):
    monkeypatch.setattr("benchmark.commands.datasets.audit.out", Console(width=100))
    out = two_sets / "audit.json"
    options = ["datasets", "audit", "sirst", "--data-root", str(two_sets), "--json", str(out)]
    assert main([*options, "--against", "all"]) == 0  # warnings are no errors
    text = capsys.readouterr().out
    assert "5 images: trainval 2, test 3; compared with nuaa" in text
    assert "warning  1 of 3 images of test are in train of nuaa (1 more by" in text
    assert "3 warnings, 2 notes" in text

    (two_sets / "SIRST" / "images" / "a.png").unlink()
    assert main(options) == 1
    assert "error    a.png  is missing; it is in trainval" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert set(report) == {
        "schema", "dataset", "folder", "splits", "images", "against", "counts", "findings",
    }  # fmt: skip
    assert report["schema"] == 1
    assert report["counts"] == {"error": 1, "warning": 2, "note": 0}
    first = report["findings"][0]
    assert (first["severity"], first["group"], first["code"]) == ("error", "files", "image-missing")
    assert set(first) == {"severity", "group", "code", "message", "files", "pairs"}


def test_many_findings_are_cut_on_screen_only(sirst, capsys):
    names = [f"n{i}" for i in range(30)]
    write_list(sirst / "idx_427/test.txt", [*TEST, *names])
    assert main(["datasets", "audit", "sirst", "--data-root", str(sirst.parent)]) == 1
    text = capsys.readouterr().out
    assert "and 20 more like the last (--json FILE has all)" in text
    assert text.count("is missing") == 20  # ten images, ten masks
    assert "60 errors" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sirst"], "say where with --data-root DIR"),
        (["sirst", "--data-root", "ROOT", "--against", "nuaa"], "split list is missing"),
        (["sirst", "--data-root", "ROOT", "--against", "nua"], "did you mean 'nuaa'"),
        (["sirst", "--data-root", "ROOT", "--json", "ROOT/no/a.json"], "no does not exist"),
        (["synthetic"], "it has no files"),
    ],
    ids=["no root", "other not there", "unknown", "no folder", "in memory"],
)
def test_mistakes_are_one_line(sirst, options, message, capsys, monkeypatch):
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)
    options = [option.replace("ROOT", str(sirst.parent)) for option in options]
    assert main(["datasets", "audit", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.skipif(not (REAL / "SIRST").is_dir(), reason="the real SIRST images are not there")
def test_the_real_set():
    """Misc_111, eight pairs that a person calls the same scene, and nothing else."""
    found = audit("sirst", REAL, (), plain).findings
    assert [(f.code, Path(f.files[0]).stem) for f in found if not f.pairs] == [
        ("mask-size", "Misc_111_pixels0")
    ]
    numbers = {
        tuple(sorted(int(Path(p).stem.removeprefix("Misc_")) for p in f.files)): f.code
        for f in found
        if f.pairs
    }
    apart, together = "split-scene", "same-scene"
    assert numbers == {
        (9, 139): apart, (272, 274): apart, (7, 138): apart, (386, 389): apart,
        (27, 31): apart, (201, 204): apart, (364, 365): together, (263, 264): together,
    }  # fmt: skip
