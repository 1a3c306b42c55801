"""The classes of a COCO file: its categories, of which some are no classes."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
from jaxtyping import Int64

from visiontasks.data.index.coco_records import Category
from visiontasks.data.index.problems import Problem
from visiontasks.errors import near_matches


class Classes(NamedTuple):
    """The classes of a COCO file.

    Attributes:
        names: Their names in the order of the labels.
        ids: The id of each class; -1 for one that the file lacks.
        labels: Class of each category, -1 for none.
        problems: Categories that cannot be told apart, or are not among the classes but have objects.
    """

    names: tuple[str, ...]
    ids: list[int | str]
    labels: Int64[np.ndarray, " categories"]
    problems: list[Problem]


def choose_classes(
    categories: Sequence[Category],
    counts: Int64[np.ndarray, " categories"],
    class_names: Sequence[str] | None,
    file: str,
) -> Classes:
    """Choose the classes among categories.

    A category without objects is not a class if another one has its name, or if it is the root that Roboflow writes:
    id 0, of no supercategory, and itself that of others.

    Args:
        categories: The categories, with different ids.
        counts: Number of objects of each category.
        class_names: Classes in the order of the labels, found by name; None takes the categories in the order of their
            ids.
        file: The file.
    """
    names, used = [normalize("NFC", str(category.name)) for category in categories], counts > 0
    order = sorted(range(len(names)), key=lambda row: _rank(categories[row].id))
    used_rows, problems = [row for row in order if used[row]], []
    row_of: dict[str, int] = {}
    for row in [*used_rows, *(row for row in order if not used[row])]:
        if names[row] not in row_of:
            row_of[names[row]] = row
        elif used[row]:
            kind, remedy = "category name occurs twice", "Give every category its own name."
            problems.append(Problem("error", kind, file, f"category {categories[row].id}", repr(names[row]), remedy))
    if class_names is None:
        parents = Counter(str(category.supercategory) for category in categories)
        chosen = [row for row in order if row_of[names[row]] == row or used[row]]
        rows = [row for row in chosen if used[row] or not _is_root(categories[row], parents)]
        known = tuple(names[row] for row in rows)
    else:
        known = tuple(normalize("NFC", name) for name in class_names)
        rows = [row_of.get(name, -1) for name in known]
    labels = np.full(len(categories), -1)
    for label, row in enumerate(rows):
        if row >= 0:
            labels[row] = label
    for row in used_rows:
        if labels[row] < 0 and names[row] not in known:
            record, remedy = f"category {categories[row].id}", near_matches(names[row], known)
            value = f"{names[row]!r} of {counts[row]} objects"
            problems.append(Problem("error", "unknown class", file, record, value, remedy))
    return Classes(known, [categories[row].id if row >= 0 else -1 for row in rows], labels, problems)


def _rank(identifier: int | str) -> tuple[bool, int, str]:
    """Return a key that orders numbers, also those written as texts, before other texts."""
    text = str(identifier)
    number = text.isascii() and text.removeprefix("-").isdigit()
    return (not number, int(text) if number else 0, text)


def _is_root(category: Category, parents: Counter[str]) -> bool:
    parentless = category.supercategory is None or str(category.supercategory).lower() == "none"
    own = str(category.name)
    return category.id == 0 and parentless and parents[own] > 0
