from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_masks
from visiontasks import MaskFolderDataModule
from visiontasks.data.check import check
from visiontasks.data.images.mask_values import MaskValues, read_classes
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError, DataError

NAMES = ("ground", "circle", "square", "triangle", "star")
COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [255, 255, 0], [7, 7, 7]], np.uint8)
VALUES = np.array([0, 7, 255, 3, 26], np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_masks(tmp_path)


def rewrite(root: Path, table: np.ndarray, palette: bool = False) -> None:
    """Write each mask as the values or colours that stand for its classes."""
    for file in sorted((root / "masks").rglob("*.png")):
        classes = np.asarray(Image.open(file))
        if palette:
            image = Image.frombytes("P", classes.shape[::-1], classes.tobytes())
            image.putpalette(table.ravel().tolist())
        else:
            image = Image.fromarray(table[classes])
        image.save(file)


def masks_of(data: MaskFolderDataModule) -> list[Any]:
    data.setup("fit")
    assert data.class_names == NAMES
    return [data.val_set[BatchRequest([image], 0)].masks.tolist() for image in range(3)]


@pytest.fixture
def expected(root: Path) -> list[Any]:
    return masks_of(MaskFolderDataModule(root, class_names=NAMES, num_workers=0))


HEX = {name: "#" + bytes(colour).hex() for name, colour in zip(NAMES, COLOURS.tolist(), strict=True)}
RGB = {name: ",".join(map(str, colour)) for name, colour in zip(NAMES, COLOURS.tolist(), strict=True)}


@pytest.mark.parametrize("form", ["argument", "hex", "yaml", "lines", "lines of three", "labelmap", "palette"])
def test_colours_stand_for_classes(form: str, root: Path, expected: list[Any]) -> None:
    rewrite(root, COLOURS, palette=form == "palette")
    options: dict[str, Any] = {}
    if form in ("argument", "palette"):
        options = {"mask_values": RGB}
    elif form == "hex":
        options = {"mask_values": HEX}
    elif form == "yaml":
        (root / "classes.yaml").write_text("\n".join(f"{name}: '{colour}'" for name, colour in HEX.items()))
    elif form == "lines":
        (root / "classes.txt").write_text("\n".join(f"{colour} {name}" for name, colour in RGB.items()))
    elif form == "lines of three":
        lines = (f"{colour.replace(',', ' ')}\t\t{name}" for name, colour in RGB.items())
        (root / "classes.txt").write_text("\n".join(lines))
    else:
        lines = (f"{name}:{colour}::" for name, colour in RGB.items())
        (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines))
    assert masks_of(MaskFolderDataModule(root, num_workers=0, **options)) == expected


@pytest.mark.parametrize("form", ["argument", "lines"])
def test_values_stand_for_classes(form: str, root: Path, expected: list[Any]) -> None:
    rewrite(root, VALUES)
    given = dict(zip(NAMES, VALUES.tolist(), strict=True))
    if form == "lines":
        (root / "classes.txt").write_text("\n".join(f"{value} {name}" for name, value in given.items()))
    data = MaskFolderDataModule(root, num_workers=0, mask_values=given if form == "argument" else None)
    assert masks_of(data) == expected
    assert not [problem for problem in check(data).problems if problem.severity == "error"]


def test_several_values_of_a_class_and_those_that_are_ignored() -> None:
    mask = np.array([[7, 26, 27, 0, 255, 1]], np.int64)
    values = MaskValues({"road": 7, "ignore": [0, 1], "car": [26, 27]})
    assert values.class_names == ("road", "car")
    assert values.classes_of(mask, Path("a.png")).tolist() == [[0, 1, 1, 255, 255, 255]]
    with pytest.raises(DataError, match=r"'a\.png': the mask has 2 pixels of value 9, value 10, which no class"):
        values.classes_of(np.array([[9, 7, 10]]), Path("a.png"))


def test_the_ignored_value_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("0 building\n1 road\n\n255 unlabeled\n")
    values = read_classes(tmp_path)
    assert isinstance(values, MaskValues)
    assert values.class_names == ("building", "road")
    assert values.classes_of(np.array([[0, 255, 1]]), Path()).tolist() == [[0, 255, 1]]
    thing = MaskValues({"ground": 0, "thing": 255})
    assert thing.classes_of(np.array([[0, 255]]), Path()).tolist() == [[0, 1]]
    void = MaskValues({"sky": 0, "Void": 11}, ignore_index=11)
    assert void.class_names == ("sky",)


def test_plain_names_stay_names(tmp_path: Path) -> None:
    assert read_classes(tmp_path) is None
    (tmp_path / "classes.txt").write_text("\ufeffcar\n2 wheeler\n # 3\n", encoding="utf-8")
    assert read_classes(tmp_path) == ("car", "2 wheeler", "# 3")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"a": 1, "b": [1, 2]}, r"value 1 is given for 'b' and for another class"),
        ({"a": "1,2,3", "b": "#010203"}, r"colour 1,2,3 is given for 'b'"),
        ({"a": 1, "b": "1,2,3"}, r"by values and by colours"),
        ({"a": "red"}, r"'a' is given 'red'; expected a whole number, a colour as 'r,g,b'"),
        ({"a": "1,2,300"}, r"'a' is given '1,2,300'"),
        ({"a": True}, r"'a' is given True"),
    ],
)
def test_wrong_values_are_named(classes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        MaskValues(classes)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("a: [1, 2\n")
    with pytest.raises(DataError, match=r"classes\.yaml' does not name the classes of masks"):
        read_classes(tmp_path)


def test_names_are_given_once(root: Path) -> None:
    with pytest.raises(ArgumentError, match="both name the classes"):
        MaskFolderDataModule(root, class_names=NAMES, mask_values={"a": 0})


def test_colours_without_a_class_and_greys_of_16_bits_are_named(tmp_path: Path) -> None:
    Image.fromarray(COLOURS[None]).save(tmp_path / "a.png")
    values = MaskValues({"a": "0,0,0"})
    with pytest.raises(DataError, match=r"a\.png': the mask has 4 pixels of colour 0,128,0, colour 7,7,7,"):
        values.read(tmp_path / "a.png", 100)
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png.*expected colours of 8 bits"):
        values.read(tmp_path / "b.png", 100)
