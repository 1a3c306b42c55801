from pathlib import Path
from unicodedata import normalize

import pytest

from tests.data.index.yolo_writer import parse, write
from visiontasks.data.index.file_names import Folder
from visiontasks.data.index.yolo_files import find_below, label_name, list_images

LABEL = "1 0.5 0.5 0.25 0.5\n"


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.b.jpg", "labels/a.b.txt"),
        ("images/x/images/1.jpg", "images/x/labels/1.txt"),
        ("images.jpg", "images.txt"),
        ("Images/train/1.JPG", "Labels/train/1.txt"),
        ("my_images/1.jpg", "my_images/1.txt"),
    ],
)
def test_the_last_folder_of_images_becomes_labels(image: str, label: str) -> None:
    assert label_name(image) == label


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("images/train", "images/train"),
        ("../images/train", "images/train"),
        ("./images/train/", "images/train"),
        ("/content/images/train", "images/train"),
        ("C:\\me\\images\\train", "images/train"),
        ("images\\train", "images/train"),
        (".", "."),
        ("images/test", None),
        ("../test/images", None),
        ("/content/test/images", None),
        ("/content/other", None),
        ("../../etc", None),
        ("..", None),
    ],
)
def test_paths_of_another_machine_are_found_and_never_another_split(
    name: str, found: str | None, tmp_path: Path
) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    assert find_below(name, ["."], Folder(tmp_path)) == found


def test_an_absolute_path_in_the_root_is_found_below_a_folder_called_like_a_split(tmp_path: Path) -> None:
    (tmp_path / "train" / "images").mkdir(parents=True)
    root = Folder(tmp_path / "train")
    assert find_below(str(tmp_path / "train" / "images"), ["."], root) == "images"


def test_a_list_keeps_its_order_and_names_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, {"a": LABEL, "b": LABEL, "c": LABEL})
    (tmp_path / "lists").mkdir()
    lines = ["./images/b.png", "", f"{tmp_path}/images/a.png", "../images/b.png", "images/gone.png", "labels/a.txt"]
    (tmp_path / "lists" / "train.txt").write_text("\n".join(lines))
    index, problems = parse(tmp_path, "lists/train.txt")
    assert list(index.files) == ["images/b.png", "images/a.png"]
    assert [(problem.severity, problem.kind, problem.record) for problem in problems] == [
        ("warning", "image is listed twice", "line 4"),
        ("error", "listed image is not there", "line 5"),
        ("error", "listed file is not an image", "line 6"),
    ]


def test_images_of_several_folders_are_taken_once(tmp_path: Path) -> None:
    write(tmp_path, {"a": LABEL})
    write(tmp_path / "more", {"b": LABEL})
    index, problems = parse(tmp_path, "images", "more/images", "images")
    assert list(index.files) == ["images/a.png", "more/images/b.png"]
    assert [(problem.kind, problem.value) for problem in problems] == [("image is listed twice", "images/a.png")]


def test_nothing_listed_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {})
    assert [problem.kind for problem in parse(tmp_path)[1]] == ["folder holds no images"]


def test_labels_of_no_image_are_named_but_lists_and_litter_are_not(tmp_path: Path) -> None:
    write(tmp_path, {"a": LABEL})
    for name in ("b.txt", "._a.txt", "classes.txt", "README.dataset.txt"):
        (tmp_path / "labels" / name).write_text(LABEL)
    (problem,) = parse(tmp_path)[1]
    assert (problem.kind, problem.record) == ("label file without image", "b.txt")


def test_labels_of_other_code_points_and_case_are_found(tmp_path: Path) -> None:
    composed, parts = (normalize(form, "é") for form in ("NFC", "NFD"))
    write(tmp_path, {composed: None, "b": None, f"more {parts}": None})
    (tmp_path / "labels" / f"more {composed}.txt").write_text(LABEL)
    (tmp_path / "labels" / f"{parts}.txt").write_text(LABEL)
    (tmp_path / "labels" / "b.TXT").write_text(LABEL)
    images, labels, problems = list_images(tmp_path, [tmp_path / "images"])
    assert [label is not None and label.is_file() for label in labels] == [True] * len(images)
    assert len(images) == 3
    assert not problems


def test_a_link_to_nothing_is_a_missing_image(tmp_path: Path) -> None:
    write(tmp_path, {"a": LABEL})
    (tmp_path / "images" / "b.png").symlink_to("gone.png")
    (tmp_path / "labels" / "b.txt").write_text(LABEL)
    index, (problem,) = parse(tmp_path)
    assert (problem.severity, problem.kind) == ("error", "image file is missing")
    assert index.labels.tolist() == [1]
