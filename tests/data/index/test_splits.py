import hashlib
from pathlib import Path

import numpy as np
import pytest

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.source import build_index
from visiontasks.data.index.splits import split_by_fractions, split_by_list
from visiontasks.errors import ArgumentError


def classified(counts: tuple[int, ...]) -> ImageIndex:
    labels = np.repeat(np.arange(len(counts)), counts)
    files = [f"{label}/{number}.jpg" for number, label in enumerate(labels)]
    return build_index(
        Path("root"), files, [str(label) for label in range(len(counts))], image_of=range(len(files)), labels=labels
    )


def test_every_image_is_in_one_split_and_classes_are_shared_evenly() -> None:
    index = classified((100, 50, 7, 3, 1, 1))
    parts = split_by_fractions(index, (0.8, 0.1, 0.1), seed=3)
    assert sorted(name for part in parts for name in part.files) == sorted(index.files)
    assert [len(part) for part in parts] == [130, 16, 16]
    counts = np.stack([part.counts() for part in parts])
    assert counts[:, :2].tolist() == [[80, 40], [10, 5], [10, 5]]
    assert (np.abs(counts - np.outer((0.8, 0.1, 0.1), index.counts())) < 1.01).all()
    for part in parts:
        numbers = [int(name.split("/")[1][:-4]) for name in part.files]
        assert numbers == sorted(numbers)


def test_the_same_everywhere_and_another_with_another_seed() -> None:
    index = classified((40, 60))
    parts = split_by_fractions(index, (0.5, 0.5), seed=0)
    digest = hashlib.sha256("\n".join(parts[0].files).encode()).hexdigest()
    assert digest[:16] == "1a7a234cbfe90ebd"
    assert list(split_by_fractions(index, (0.5, 0.5), seed=1)[0].files) != list(parts[0].files)


def test_the_order_of_the_index_does_not_matter() -> None:
    index = classified((40, 60))
    shuffled = index.subset(np.random.default_rng(0).permutation(100))
    for mine, theirs in zip(
        split_by_fractions(index, (0.7, 0.3)), split_by_fractions(shuffled, (0.7, 0.3)), strict=True
    ):
        assert set(mine.files) == set(theirs.files)


def test_images_of_several_classes_are_dealt_as_they_are() -> None:
    index = build_index(Path(), [f"{i}.jpg" for i in range(10)], ("a", "b"), image_of=[0, 0, 3], labels=[0, 1, 1])
    parts = split_by_fractions(index, (0.6, 0.2, 0.2))
    assert [len(part) for part in parts] == [6, 2, 2]
    assert sum(len(part.labels) for part in parts) == 3


def test_parts_may_be_empty_and_the_index_too() -> None:
    assert [len(part) for part in split_by_fractions(classified((5,)), (1.0, 0.0))] == [5, 0]
    assert [len(part) for part in split_by_fractions(build_index(Path(), [], ()), (0.5, 0.5))] == [0, 0]


@pytest.mark.parametrize("fractions", [(0.8, 0.1), (1.2, -0.2), (), (float("nan"), 1.0)])
def test_fractions_sum_to_one(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ArgumentError, match="expected numbers of at least 0 that sum to 1"):
        split_by_fractions(classified((5,)), fractions)


def test_lists_name_files_with_or_without_folder_and_suffix(tmp_path: Path) -> None:
    index = build_index(tmp_path, ["x/a b.jpg", "x/é.jpg", "y/c.jpg", "y/é.jpg", "d.jpg"], ())
    file = tmp_path / "list.txt"
    file.write_text("c\n\na b.jpg\nx/é\nd.jpg\n")
    assert list(split_by_list(index, file).require().files) == ["y/c.jpg", "x/a b.jpg", "x/é.jpg", "d.jpg"]
    file.write_text("c\né\nnone\ny/c.jpg\n")
    assert [(problem.kind, problem.record, problem.value) for problem in split_by_list(index, file).problems] == [
        ("name fits several images", "line 2", "'é'"),
        ("listed image is not in the data set", "line 3", "'none'"),
        ("image is listed twice", "line 4", "'y/c.jpg'"),
    ]
    nested = build_index(tmp_path, ["0.jpg", "sub/0.jpg", "sub/1.jpg", "sub/1.png"], ())
    file.write_text("0.jpg\nsub/0\n1.jpg\n")
    assert list(split_by_list(nested, file).require().files) == ["0.jpg", "sub/0.jpg", "sub/1.jpg"]
    (problem,) = split_by_list(index, tmp_path / "none.txt").problems
    assert problem.kind == "list cannot be read"


def test_the_split_is_the_same_in_every_form() -> None:
    names = [f"{number}.png" for number in range(50)]
    classes = [number % 3 for number in range(50)]

    def split(root: str, folder: str, order: list[int], class_names: tuple[str, ...]) -> list[set[str]]:
        labels = [class_names.index("abc"[classes[number]]) for number in order]
        files = [f"{folder}{names[number]}" for number in order]
        index = build_index(Path(root), files, class_names, image_of=range(50), labels=labels)
        return [
            {file.removeprefix(folder) for file in part.files} for part in split_by_fractions(index, (0.7, 0.2, 0.1))
        ]

    expected = split("set/pictures", "", list(range(50)), ("a", "b", "c"))
    for folder in ("JPEGImages/", "data/images/"):
        assert split("set", folder, list(range(49, -1, -1)), ("c", "a", "b")) == expected


@pytest.mark.parametrize("count", [3, 4, 7, 9])
def test_few_images_leave_no_split_empty(count: int) -> None:
    index = build_index(Path("root"), [f"{number}.png" for number in range(count)], ("a", "b"))
    parts = split_by_fractions(index, (0.8, 0.1, 0.1))
    assert all(map(len, parts))
    assert sum(map(len, parts)) == len({name for part in parts for name in part.files}) == count
    assert [len(part) for part in split_by_fractions(index, (1, 0, 0))] == [count, 0, 0]
