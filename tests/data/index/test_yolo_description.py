from pathlib import Path

import pytest

from visiontasks.data.index.yolo_description import read_description, read_names
from visiontasks.data.index.yolo_lines import KeyPoints
from visiontasks.errors import DataError


def described(tmp_path: Path, text: str, name: str = "data.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "names",
    [
        "[no, 1, été]",
        "{0: no, 1: 1, 2: été}",
        "\n- no\n- 1\n- été",
        "\n  2: été\n  0: no\n  1: 1",
        "{'0': no, 1: 1, 2: été}",
    ],
)
def test_names_are_lists_or_numbered_and_stay_as_they_are_written(names: str, tmp_path: Path) -> None:
    found = read_description(described(tmp_path, f"train: a\nnc: 3\nnames: {names}\n"))
    assert found.names == ("no", "1", "été")


def test_splits_are_folders_or_lists_by_their_usual_names(tmp_path: Path) -> None:
    text = "\ufeffpath: x\ntrain: [a, b]\nvalid: c.txt\ntest:  # none\nnames: [cat]\nkpt_shape: [17, 3]\nfoo: {a: 1}\n"
    found = read_description(described(tmp_path, text))
    assert found.splits == {"train": ("a", "b"), "val": ("c.txt",)}
    assert (found.path, found.key_points) == ("x", KeyPoints(17, 3))


def test_the_description_of_darknet_names_a_file_of_names(tmp_path: Path) -> None:
    text = "# made by hand\nclasses = 2\ntrain=data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\n"
    found = read_description(described(tmp_path, text, "obj.data"))
    assert (found.names, found.names_file) == (None, "data/obj.names")
    assert found.splits == {"train": ("data/train.txt",), "val": ("data/test.txt",)}


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"train: a\nnames: !!python/object/apply:os.system ['touch {mark}']\n"
    assert read_description(described(tmp_path, text)).names == (f"touch {mark}",)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no keys; expected train, val and names"),
        ("- a", "holds no keys"),
        ("train: a", "has no names; expected a list of the classes"),
        ("train: a\nnames: cat", "has no names"),
        ("train: a\nnames: []", "has no names"),
        ("train: a\nnames: [[cat]]", "names holds lists or keys"),
        ("train: a\nnames: [cat, '']", "class 1 has no name"),
        ("train: a\nnames: [cat, cat]", "class 1 is called 'cat', as class 0"),
        ("train: a\nnames: {1: cat, 2: dog}", "the keys of names are 1, 2; expected the class numbers from 0 to 1"),
        ("train: {a: b}\nnames: [cat]", "train holds keys; expected a folder, a list of folders"),
        ("train: a\nnames: [cat]\nkpt_shape: [17]", r"kpt_shape is \['17'\]; expected the number of points"),
        ("train: a\nnames: [cat]\nkpt_shape: [17, 4]", "kpt_shape is"),
        ("train: a\nnames: [cat]\nkpt_shape: 17", "kpt_shape is '17'"),
        ("train: 'a", "cannot be read: while scanning a quoted scalar"),
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"data.yaml'.*{message}"):
        read_description(described(tmp_path, text))


def test_a_list_of_names_has_one_in_a_line(tmp_path: Path) -> None:
    assert read_names(described(tmp_path, "\ufeffcat\r\nhot dog \r\n\r\n", "classes.txt")) == ("cat", "hot dog")
    assert read_names(described(tmp_path, "0 cat\n1: hot dog", "classes.txt")) == ("cat", "hot dog")
    for coins in ("5 cent\n10 cent", "0 cat"):
        assert read_names(described(tmp_path, coins, "classes.txt")) == tuple(coins.splitlines())
    with pytest.raises(DataError, match="its lines are numbered from 1; expected numbers from 0"):
        read_names(described(tmp_path, "1 cat\n2 dog", "classes.txt"))
    for text, message in (("cat\n\ndog", "class 1 has no name"), ("a\na", "as class 0"), ("", "names no class")):
        with pytest.raises(DataError, match=message):
            read_names(described(tmp_path, text, "classes.txt"))
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path / "gone.txt")
