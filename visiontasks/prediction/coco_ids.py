"""The ids of images and classes in COCO results."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from visiontasks.errors import ArgumentError, DataError


class CocoIds(NamedTuple):
    """Numbers of images and of classes.

    Attributes:
        images: ``image_id`` of each file.
        categories: ``category_id`` of each class by its name; one that has none is left out of the results.
    """

    images: dict[Path | int, int | str]
    categories: dict[str, int | str]


def number_images(files: Sequence[Path], class_names: Sequence[str]) -> CocoIds:
    """Assign ids to files and classes without annotations.

    The ids of files are their names if all names are numbers, as in COCO; otherwise files are numbered from 1. Classes
    are numbered from 1.

    Example:
        >>> number_images([Path("000000012.jpg"), Path("000000007.jpg")], ["cat"])
        CocoIds(images={PosixPath('000000012.jpg'): 12, PosixPath('000000007.jpg'): 7}, categories={'cat': 1})
    """
    numbers = [int(file.stem) if file.stem.isascii() and file.stem.isdigit() else None for file in files]
    named = None not in numbers and len(set(numbers)) == len(files)
    images: dict[Path | int, int | str] = {
        file: number if named and number is not None else position
        for position, (file, number) in enumerate(zip(files, numbers, strict=True), 1)
    }
    return CocoIds(images, {name: position for position, name in enumerate(class_names, 1)})


def read_ids(annotations: Path, files: Sequence[Path], class_names: Sequence[str]) -> CocoIds:
    """Find the ids of files and classes in annotations in COCO format.

    Args:
        annotations: Their file, with ``images`` (id, file_name) and ``categories`` (id, name).
        files: The files; their names in the annotations are the ends of their paths.
        class_names: The classes.

    Raises:
        DataError: If it is no such file.
        ArgumentError: If a file or a class is not in it.
    """
    try:
        content = json.loads(annotations.read_bytes())
        by_name = {_file_name(image): _id(image) for image in content["images"]}
        # Of two categories of one name, such as Roboflow's root and a class, objects refer to the one that is meant.
        used = {entry["category_id"] for entry in content.get("annotations", ())}
        ordered = sorted(content["categories"], key=lambda category: category["id"] in used)
        categories = {str(category["name"]): _id(category) for category in ordered}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{str(annotations)!r} has no images and categories in COCO's form ({type(error).__name__}: {error})."
        raise DataError(message) from error
    images: dict[Path | int, int | str] = {}
    for file in files:
        parts = file.parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        number = next((by_name[end] for end in ends if end in by_name), None)
        if number is not None:
            images[file] = number
    missing = [str(file) for file in files if file not in images]
    missing += [name for name in class_names if name not in categories]
    if missing:
        message = (
            f"{len(missing)} of the images and classes are not in {str(annotations)!r}, such as "
            f"{', '.join(missing[:3])}. Predict the images of these annotations, or leave --annotations out."
        )
        raise ArgumentError(message)
    return CocoIds(images, {name: categories[name] for name in class_names})


def _id(record: dict[str, Any]) -> int | str:
    """Return the id of a record as it is written; 60.0 stands for 60."""
    return record["id"] if isinstance(record["id"], str) else int(record["id"])


def _file_name(image: dict[str, Any]) -> str:
    """Return the file name of an image; LVIS has addresses only."""
    return str(image.get("file_name") or PurePosixPath(unquote(urlsplit(image["coco_url"]).path)).name)
