import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from visiontasks.backbones import Backbone, create_backbone
from visiontasks.backbones.cnn import CNN
from visiontasks.decoders import create_decoder
from visiontasks.decoders.fcn import FCN
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_callable, import_class, import_path

SOURCE = """
from visiontasks.backbones.cnn import CNN
from visiontasks.decoders.fcn import FCN

called = []

class Small(CNN):
    def __init__(self, in_channels, width: int = 4):
        super().__init__(in_channels, filters=(width,))

class Fixed(CNN):
    def __init__(self):
        super().__init__(3, filters=(5,))

def build(in_channels, width=6):
    return Small(in_channels, width)

def nothing(in_channels):
    return in_channels

class Head(FCN):
    pass

def head(channels, strides, num_outputs):
    return FCN(channels, strides, num_outputs)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of a user's own, beside which Python is called."""
    (tmp_path / "own_parts.py").write_text(SOURCE)
    (tmp_path / "broken_parts.py").write_text("import torch\n\n1 / 0\n")
    (tmp_path / "other.py").write_text("called = []\ndef run(**options):\n    called.append(options)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("own_parts", "broken_parts", "other"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from importlib import import_module

    return import_module("own_parts")


def test_classes_and_functions_are_imported_by_path() -> None:
    assert import_class("pathlib.Path") is Path
    assert import_class(import_path(nn.Linear)) is nn.Linear
    assert import_callable("os.path.join")("a", "b") == "a/b"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module.Class", "'no_such_module.Class' cannot be imported: No module named 'no_such_module'"),
        ("pathlib.Pathh", r"Module 'pathlib' has no class or function 'Pathh'. Did you mean 'Path'"),
        ("pathlib.os", "Module 'pathlib' has no class or function 'os'"),
        ("broken_parts.Class", "'broken_parts.Class' cannot be imported: ZeroDivisionError: division by zero"),
        (".Class", "cannot be imported"),
    ],
)
def test_a_path_that_leads_to_nothing_says_why(path: str, message: str, own: ModuleType) -> None:
    with pytest.raises(ArgumentError, match=message):
        import_callable(path)


def test_a_function_is_no_class() -> None:
    with pytest.raises(ArgumentError, match=r"'os.path.join' is a function; expected a class"):
        import_class("os.path.join")


def test_backbones_and_decoders_of_a_users_own_are_named_by_path(own: ModuleType) -> None:
    assert type(create_backbone("own_parts.Small", 1, width=3)) is own.Small
    assert create_backbone("own_parts.Small", 1, width=3).channels[0] == 3
    assert type(create_backbone("own_parts.Fixed")) is own.Fixed
    assert create_backbone("own_parts.build", in_channels=2).channels[0] == 6
    assert type(create_decoder("own_parts.Head", (4, 4), (1, 2), 3)) is own.Head
    assert type(create_decoder("own_parts.head", (4, 4), (1, 2), 3)) is FCN
    assert type(create_backbone("visiontasks.backbones.CNN", 1)) is CNN


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("own_parts.Head", "'own_parts.Head' is no Backbone; expected a subclass of .*Backbone, or a function"),
        ("other.run", "'other.run' is no Backbone"),
        ("own_parts.nothing", "'own_parts.nothing' returned a int; expected a .*Backbone"),
        ("own_parts.Smal", "Module 'own_parts' has no class or function 'Smal'. Did you mean 'Small'"),
        ("no_module.Small", "'no_module.Small' cannot be imported"),
        ("smal", "There is no backbone 'smal'.* of your own by its import path, such as my_module.MyBackbone"),
    ],
)
def test_nothing_else_is_taken_for_a_backbone(path: str, message: str, own: ModuleType) -> None:
    with pytest.raises(ArgumentError, match=message):
        create_backbone(path)
    if path == "other.run":
        assert import_callable(path).__globals__["called"] == []


def test_options_that_it_does_not_take_are_named(own: ModuleType) -> None:
    with pytest.raises(ArgumentError, match=r"backbone 'own_parts.Fixed' was given \{'width': 3\}: .*width"):
        create_backbone("own_parts.Fixed", width=3)
    with pytest.raises(ArgumentError, match=r"'own_parts\.Small' is no Decoder"):
        create_decoder("own_parts.Small", (4,), (1,), 3)
    assert issubclass(own.Small, Backbone)
