"""What plug-in classes may declare: each mistake is one line with file, line number and remedy."""

import subprocess
import textwrap

import pytest

import datasets
import detectors
import losses
from benchmark.commands.main import main
from benchmark.errors import UserError
from benchmark.registry import Registry, load_plugins, registry
from tests.e2e.commands import ROOT, command

ALL = (detectors.REGISTRY, losses.REGISTRY, datasets.REGISTRY)
FORWARD = "\n    def forward(self, x):\n        return x\n"


@pytest.fixture(autouse=True)
def _registries_as_before(monkeypatch):
    """What a command registers in this process is forgotten after the test."""
    for one in ALL:
        monkeypatch.setattr(one, "_entries", dict(one._entries))
        monkeypatch.setattr(one, "warnings", [])
        for table in ("_known", "_files"):
            monkeypatch.setattr(one.family, table, dict(getattr(one.family, table)))
        monkeypatch.setattr(one.family, "_parents", set(one.family._parents))


@pytest.fixture
def plugin(tmp_path):
    """Write one plug-in file and return its path."""

    def write(text):
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


DETECTOR = "from detectors.base import Detector\nclass Net(Detector):\n    name = 'net'\n    "
LOSS = "from losses.base import Loss\nclass Net(Loss):\n    name = 'net'\n    "
SET = "from datasets.base import Dataset\nclass Net(Dataset):\n    name = 'net'\n    "
NO = "no such attribute of a"
WRONG = [  # a class, what stands in its line 4 and below, and the error from `line N: Net.` on
    (DETECTOR, "stirde = 16", f"4 stirde: {NO} detector; did you mean 'stride'? if it is your own: "
     "STIRDE or _stirde"),
    (DETECTOR, "stirde: int = 16", f"4 stirde: {NO} detector; did you mean 'stride'?"),
    (DETECTOR, "stirde = 2 ** 4", f"4 stirde: {NO} detector; did you mean 'stride'?"),
    (DETECTOR, "Stride = 16", f"4 Stride: {NO} detector; did you mean 'stride'?"),
    (DETECTOR, "qqq = 16", f"4 qqq: {NO} detector; if it is your own: QQQ or _qqq"),
    (LOSS, "papre = 'x'", f"4 papre: {NO} loss; did you mean 'paper'?"),
    (SET, "tain_split = 'a'", f"4 tain_split: {NO} dataset; did you mean 'train_split'?"),
    (DETECTOR, "stride = '16'", "4 stride is '16', must be a whole number"),
    (DETECTOR, "stride = True", "4 stride is True, must be a whole number"),
    (DETECTOR, "stride = 0", "4 stride is 0: input should be greater than 0"),
    (DETECTOR, "min_size, stride = 16, 2.5", "4 stride is 2.5, must be a whole number"),
    (DETECTOR, "mean = 0.4", "4 mean is 0.4, must be a tuple, as in (1, 2) or ('one',)"),
    (DETECTOR, "mean = (\n 0.4,\n '0.2',\n)", "6 mean[1] is '0.2', must be a number"),
    (DETECTOR, "trained = 'no'", "4 trained is 'no', must be True or False"),
    (DETECTOR, "paper = None", "4 paper is None, must be a text in quotation marks"),
    (DETECTOR, "recipe = 'adam'", "4 recipe is 'adam', must be a dict, as in {'key': 1}"),
    (LOSS, "capturable = 0", "4 capturable is 0, must be True or False"),
    (SET, "sizes = {'test': '80'}", "4 sizes['test'] is '80', must be a whole number"),
    (DETECTOR, "stride = 2**4", "4 stride must be a plain literal"),
    (DETECTOR, "mean = (0.1 + 0.2,)", "4 mean must be a plain literal"),
    (DETECTOR, "_least, stride = sizes()", "4 stride must be a plain literal"),
    (DETECTOR, "cost = {'macs': 1,\n 'paramters': 2}",
     "5 cost['paramters']: no such key; did you mean 'parameters'?"),
    (DETECTOR, "cost = {'macs': 1}", "4 cost is {'macs': 1}: without activations, parameters"),
    (DETECTOR, "choices = {'widht': (1, 2)}\n    def __init__(self, width=1): pass",
     "4 choices['widht']: the constructor has no such option; did you mean 'width'?"),
    (DETECTOR, "variants = ('s', 'port')\n    variant_data = {\n 'prot': {'stride': 2}}",
     "6 variant_data['prot']: no such variant; did you mean 'port'?"),
    (DETECTOR, "variant_data = {'port': {\n 'stirde': 2}}",
     f"5 variant_data['port']['stirde']: {NO} detector; did you mean 'stride'?"),
    (DETECTOR, "variant_data = {'port': {\n 'stride': '2'}}",
     "5 variant_data['port']['stride'] is '2', must be a whole number"),
]  # fmt: skip


@pytest.mark.parametrize("start", [["list"], ["--dry-run"]], ids=" ".join)
@pytest.mark.parametrize(("base", "text", "message"), WRONG, ids=[text for _, text, _ in WRONG])
def test_each_mistake_is_one_line(plugin, capsys, start, base, text, message):
    path = plugin(base + text)
    line, _, rest = message.partition(" ")
    assert main([*start, "--plugins", str(path.parent)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {path}, line {line}: Net.{rest}")
    assert (out, err.count("\n")) == ("", 1)


def test_all_mistakes_of_a_class_are_named_at_once(plugin, capsys):
    path = plugin(DETECTOR + "stirde = 16\n    year = '2027'\n    mean = (x,)")
    assert main(["list", "--plugins", str(path.parent)]) == 2
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [
        f" {path}, line {number}" for number in (4, 6, 5)
    ]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("{'lrr': 1}", "line 4: Net.recipe: lrr 1: extra inputs are not permitted; did you mean"),
        ("{'lr': -1}", "line 4: Net.recipe: lr -1: input should be greater than 0"),
    ],
)
def test_a_recipe_holds_settings(plugin, capsys, recipe, message):
    path = plugin(DETECTOR + f"recipe = {recipe}")
    assert main(["--dry-run", "--detectors", "net", "--plugins", str(path.parent)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}, {message}")


def test_attributes_of_its_own(plugin):
    path = plugin("""
        from detectors.base import Detector
        from datasets.file_dataset import FileDataset
        class Net(Detector):
            name = "net"
            DEPTHS = (2, 2)
            _widths = [8, 16]
            levels: tuple[int, ...] = (1, 2)
            activation = nn.ReLU
            warm_up = None
            dump_patches = True
            mean = [0.1, 0.2, 0.3]
            class Stirde: pass
            def strides(self): pass
            @property
            def sizes(self): pass
        class Child(Net):
            name = "child"
            levels = (3,)
        class Files(FileDataset):
            name = "files"
            options = {}
            rule = "mine"
        """)
    load_plugins(path.parent, ALL)
    assert detectors.REGISTRY.get("child").info.mean == (0.1, 0.2, 0.3)
    assert detectors.REGISTRY.get("child").places["mean"] == f"{path}, line 12: Net.mean"
    assert "levels" not in detectors.REGISTRY.get("child").places
    assert datasets.REGISTRY.get("files").info.splits == ("trainval", "test")


IMPORTS = {
    "from detectors.base import Detector as Base": "Base",
    "import detectors.base as b": "b.Detector",
    "import detectors.base": "detectors.base.Detector",
    "from detectors import base": "base.Detector",
    "from detectors import base as b": "b.Detector",
    "from detectors.base import *": "Detector",
    "from detectors.mshnet import MSHNet as Detector": "Detector",
    "from detectors.mshnet import Backbone": "Backbone",  # which that file has from another
    "from detectors.base import Detector as D\nBase = D": "Base",
    "try:\n    from detectors.base import Detector as D\nexcept ImportError:\n    raise": "D",
}


@pytest.mark.parametrize(("statement", "base"), IMPORTS.items(), ids=IMPORTS)
def test_a_base_class_by_any_name(plugin, capsys, statement, base):
    path = plugin(f"{statement}\nclass Net({base}):\n    name = 'net'\n    year = 2027")
    assert main(["list", "detectors", "--plugins", str(path.parent)]) == 0
    out, err = capsys.readouterr()
    assert "  net " in out
    assert err == ""


def test_a_base_class_in_another_plugin_file(plugin, tmp_path):
    (tmp_path / "zoo.py").write_text(
        "from detectors.base import Detector as D\nclass Z(D):\n    stride = 8\n"
    )
    plugin("from folder.zoo import Z as Y\nclass Net(Y):\n    name = 'net'\n")
    load_plugins(tmp_path, ALL)
    assert detectors.REGISTRY.get("net").info.stride == 8


GOOD = "from detectors.base import Detector\nclass Good(Detector):\n    name = 'good'\n"
LOOKS = {
    "class Net(Foo):\n    name = 'net'" + FORWARD: "class Net looks like a detector but its base "
    "'Foo' is not known: derive it from detectors.base.Detector",
    "class Net:\n    name = 'net'" + FORWARD: "class Net looks like a detector but it has no base: "
    "derive it from detectors.base.Detector",
    "class Net(zoo.BaseDetector): pass": "class Net looks like a detector but its base "
    "'zoo.BaseDetector' is not known: derive it from detectors.base.Detector",
    "class OwnLoss(nn.Module):\n    name = 'own'": "class OwnLoss looks like a loss but its base "
    "'nn.Module' is not known: derive it from losses.base.Loss",
    "class Own(nn.Module):\n    name = 'own'\n    def forward(self, logits, target, epoch): pass":
    "class Own looks like a loss but its base 'nn.Module' is not known",
    "from torch.utils.data import Dataset\nclass Mine(Dataset):\n    name = 'mine'":
    "class Mine looks like a plug-in but its base 'Dataset' is not known: derive it from "
    "detectors.base.Detector or losses.base.Loss or datasets.base.Dataset",
    "class Net(A, B):\n    name = 'net'" + FORWARD: "class Net looks like a detector but its bases "
    "'A', 'B' are not known: derive it from detectors.base.Detector",
    "class Net(Detector):\n    stride = 2": "class Net is a detector without a name: add name = ",
    "if True:\n    class Net(Detector):\n        name = 'net'": "class Net is a detector inside an "
    "if, try or with, where it is not looked for",
}  # fmt: skip


@pytest.mark.parametrize("start", [["list"], ["show", "good"]], ids=" ".join)
@pytest.mark.parametrize(("text", "message"), LOOKS.items(), ids=range(len(LOOKS)))
def test_what_looks_like_a_plugin_is_named_once(plugin, capsys, start, text, message):
    path = plugin(GOOD + text)
    line = next(n for n, t in enumerate((GOOD + text).split("\n"), 1) if "class" in t and n > 3)
    assert main([*start, "--plugins", str(path.parent)]) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"warning: {path}, line {line}: {message}")
    assert err.count("\n") == 1
    load_plugins(None, ALL)
    assert capsys.readouterr().err == ""


def test_look_alikes_alone_are_an_error(plugin, capsys):
    path = plugin("class Net(Foo):\n    name = 'net'" + FORWARD)
    assert main(["list", "--plugins", str(path.parent)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: --plugins {path.parent}: no class with")
    assert second.startswith(f"error: {path}, line 1: class Net looks like a detector but its")


@pytest.mark.parametrize(
    "text",
    [
        "class Block(nn.Module):" + FORWARD,
        "class Weighted(nn.CrossEntropyLoss): pass",
        "from torch.utils.data import Dataset\nclass Pairs(Dataset): pass",
        "class _Net(Foo):\n    name = 'net'" + FORWARD,
        "class Part(NamedTuple):\n    name: str",
        "class Layout:\n    name = 'layout'",
    ],
)
def test_helpers_are_not_named(plugin, capsys, text):
    load_plugins(plugin("from torch import nn\n" + GOOD + text).parent, ALL)
    assert capsys.readouterr().err == ""


def test_nothing_of_ours_looks_like_one():
    for one in ALL:
        assert Registry(one.kind, one.base, one.package).warnings == []


def test_files_that_are_dropped_into_a_package(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "detectors"
    folder.mkdir()
    (folder / "base.py").write_text((registry.ROOT / "detectors/base.py").read_text())
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    (folder / "mine.py").write_text("class Net(Foo):\n    name = 'net'" + FORWARD)
    load_plugins(None, [Registry("detector", "Detector", "detectors")])
    assert capsys.readouterr().err == (
        f"warning: {folder / 'mine.py'}, line 1: class Net looks like a detector but its base "
        "'Foo' is not known: derive it from detectors.base.Detector\n"
    )
    (folder / "mine.py").write_text(
        "from .base import Detector\nclass Net(Detector):\n    yaer = 1"
    )
    with pytest.raises(UserError, match=r"mine\.py, line 3: Net\.yaer: no such attribute"):
        Registry("detector", "Detector", "detectors")


def test_from_the_command_line(plugin):
    """Aliased base, look-alike and a dry run, as a person starts it."""
    path = plugin(
        "import detectors.base as b\nfrom torch import nn\n"
        "class Net(b.Detector):\n    name = 'net'\n"
        "    in_channels = 1\n    mean = std = (0.5,)\n"
        "    def forward(self, x):\n        return b.Prediction(x)\n"
        "class Lost(nn.Module):\n    name = 'lost'" + FORWARD
    )
    arguments = ["--dry-run", "--detectors", "net", "--plugins", str(path.parent)]
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " net " in done.stdout
    assert done.stderr == (
        f"warning: {path}, line 9: class Lost looks like a detector but its base 'nn.Module' is "
        "not known: derive it from detectors.base.Detector\n"
    )
