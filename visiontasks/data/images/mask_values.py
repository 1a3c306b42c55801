"""Which class each value or colour of the masks stands for, if it is not the number of the class."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import yaml
from jaxtyping import Integer, UInt8

from visiontasks.data.images.mask_reading import read_colours, read_mask
from visiontasks.errors import ArgumentError, DataError, near_matches
from visiontasks.types import IGNORED

IGNORE = "ignore"
"""Name of what is no class: its values are ignored by losses and metrics."""

LABEL_MAP = "labelmap.txt"
"""Name of the file in which CVAT writes the colours of masks."""

_IGNORED_NAMES = frozenset({"ignored", "unlabeled", "unlabelled", "unknown", "void", "don't care", "dontcare"})
_FILES = ("classes.yaml", "classes.yml", "classes.txt", LABEL_MAP)
_NUMBERED = re.compile(r"(\d+)\s+(\D.*)")
_COLOURED = re.compile(r"(\d+)[ ,\t]+(\d+)[ ,\t]+(\d+)\s+(\D.*)")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")

Written = int | str | Sequence[int | str]
"""A value, a colour (``"r,g,b"`` or ``"#rrggbb"``), or several of either."""


class MaskValues:
    """The values or colours of each class in masks.

    Args:
        classes: Values or colours by the name of the class, in the order of the labels; those of ``"ignore"`` are
            ignored.
        ignore_index: A value that is ignored as well, unless it is that of a class. As "unlabeled", "void" or the like
            it is not a class.

    Raises:
        ArgumentError: If a value or colour is not one, belongs to two classes, or there are both values and colours.

    Example:
        >>> values = MaskValues({"road": 7, "car": [26, 27], "ignore": [0, 1]})
        >>> values.class_names
        ('road', 'car')
        >>> values.classes_of(np.array([[7, 27, 0, 255]], np.uint8), Path("a.png"))
        array([[  0,   1, 255, 255]], dtype=uint8)
    """

    def __init__(self, classes: Mapping[str, Written], ignore_index: int = IGNORED) -> None:
        parsed = {name: _keys(name, written) for name, written in classes.items()}
        kinds = {kind for keys in parsed.values() for kind, _ in keys}
        if len(kinds) > 1:
            message = "The classes of masks are given by values and by colours; expected one of them."
            raise ArgumentError(message)
        self.coloured = "colour" in kinds
        values = {name: [key for _, key in keys] for name, keys in parsed.items()}
        named = [
            name
            for name, keys in values.items()
            if name != IGNORE and not (keys == [ignore_index] and not self.coloured and name.lower() in _IGNORED_NAMES)
        ]
        self.class_names: tuple[str, ...] = tuple(named)
        self.classes, self.ignore_index = dict(classes), ignore_index
        table: dict[int, int] = {}
        for name, keys in values.items():
            label = named.index(name) if name in named else IGNORED
            for key in keys:
                if table.setdefault(key, label) != label:
                    message = f"{self._written(key)} is given for {name!r} and for another class; expected one."
                    raise ArgumentError(message)
        if not self.coloured:
            table.setdefault(ignore_index, IGNORED)
        self._keys = np.array(sorted(table), np.int64)
        self._labels = np.array([table[key] for key in sorted(table)], np.uint8)

    def of_classes(self, class_names: Sequence[str]) -> Self:
        """Take other labels for the same values or colours: those of the classes of the same names.

        Args:
            class_names: All classes in the order of the labels.

        Raises:
            DataError: If one of the classes is not among them.

        Example:
            >>> values = MaskValues({"road": 7, "car": 9}).of_classes(["car", "tree", "road"])
            >>> values.classes_of(np.array([[7, 9]], np.uint8), Path("a.png"))
            array([[2, 0]], dtype=uint8)
        """
        unknown = [name for name in self.class_names if name not in class_names]
        if unknown:
            remedy = f"{near_matches(unknown[0], class_names)} Pixels that are to be ignored are of class {IGNORE!r}."
            message = f"The masks have the class {unknown[0]!r}, which is not one of those that are known. {remedy}"
            raise DataError(message)
        of_none = {name: written for name, written in self.classes.items() if name not in self.class_names}
        ignored = {IGNORE: [key for written in of_none.values() for key in several(written)]} if of_none else {}
        return type(self)({name: self.classes.get(name, []) for name in class_names} | ignored, self.ignore_index)

    def read(self, path: Path, max_pixels: int) -> UInt8[np.ndarray, "height width"]:
        """Read a mask as the class of each pixel, 255 for ignored ones.

        Raises:
            UnreadableFileError: If the file is missing, damaged, or not a mask.
            DataError: If it holds a value or colour that is not given.
        """
        if not self.coloured:
            return self.classes_of(read_mask(path, max_pixels), path)
        colours = read_colours(path, max_pixels).astype(np.int64)
        return self.classes_of(colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2], path)

    def classes_of(self, values: Integer[np.ndarray, "height width"], path: Path) -> UInt8[np.ndarray, "height width"]:
        """Convert values, or colours as 0xRRGGBB, to classes; 255 for ignored ones.

        Raises:
            DataError: If there is a value that is not given.
        """
        places = np.searchsorted(self._keys, values).clip(max=len(self._keys) - 1)
        unknown = self._keys[places] != values
        if unknown.any():
            kinds = np.unique(values[unknown])
            shown = ", ".join(self._written(int(key)) for key in kinds[:5])
            message = (
                f"{str(path)!r}: the mask has {np.count_nonzero(unknown)} pixels of {shown}"
                f"{', ...' if len(kinds) > 5 else ''}, which no class is given for; add them to a class or to "
                f"{IGNORE!r}."
            )
            raise DataError(message)
        classes: UInt8[np.ndarray, "height width"] = self._labels[places]
        return classes

    def _written(self, key: int) -> str:
        return f"colour {key >> 16},{key >> 8 & 255},{key & 255}" if self.coloured else f"value {key}"


def read_classes(root: Path, ignore_index: int = IGNORED) -> tuple[str, ...] | MaskValues | None:
    """Read the classes of masks from a file beside them.

    - ``classes.yaml``: a mapping as :class:`MaskValues` takes it.
    - ``classes.txt``: a name in each line; or each line begins with its value (``7 road``) or colour
      (``128,64,128 road``).
    - ``labelmap.txt`` of CVAT: ``road:128,64,128::``.

    Args:
        root: Folder of the data set.
        ignore_index: Value of ignored pixels.

    Returns:
        The names of the values 0, 1, 2, ...; the values of each class; None if there is no such file.

    Raises:
        DataError: If the file is not one of these.
    """
    file = next((root / name for name in _FILES if (root / name).is_file()), None)
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("# ")]
        if file.suffix in (".yaml", ".yml"):
            return MaskValues(dict(yaml.safe_load(text)), ignore_index)
        if file.name == LABEL_MAP:
            return MaskValues(read_label_map(file), ignore_index)
        return _from_lines(lines, ignore_index)
    except (ArgumentError, OSError, TypeError, ValueError, yaml.YAMLError) as error:
        message = f"{str(file)!r} does not name the classes of masks: {error}"
        raise DataError(message) from error


def read_label_map(file: Path) -> dict[str, str]:
    """Read the colours of the classes from a label map of CVAT, with lines ``road:128,64,128:parts:actions``.

    Raises:
        DataError: If it is not one.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        fields = [line.strip().split(":") for line in lines if line.strip() and not line.startswith("#")]
        return {name: colour for name, colour, *_ in fields}
    except (OSError, ValueError) as error:
        message = f"{str(file)!r} is not a label map: {error}; expected lines as in 'road:128,64,128::'."
        raise DataError(message) from error


def _from_lines(lines: Sequence[str], ignore_index: int) -> tuple[str, ...] | MaskValues:
    for pattern in (_COLOURED, _NUMBERED):
        matches = [match for line in lines if (match := pattern.fullmatch(line))]
        if matches and len(matches) == len(lines):
            classes: dict[str, list[int | str]] = {}
            for *numbers, name in (match.groups() for match in matches):
                classes.setdefault(name.strip(), []).append(int(numbers[0]) if len(numbers) == 1 else ",".join(numbers))
            return MaskValues(classes, ignore_index)
    return tuple(lines)


def several(written: Written) -> Sequence[int | str]:
    """Return the values or colours of a class as a sequence."""
    return written if isinstance(written, Sequence) and not isinstance(written, str) else [written]


def _keys(name: str, written: Written) -> list[tuple[str, int]]:
    if isinstance(written, Sequence) and not isinstance(written, str):
        return [key for part in several(written) for key in _keys(name, part)]
    if isinstance(written, int) and not isinstance(written, bool):
        return [("value", written)]
    if isinstance(written, str):
        if _HEX.fullmatch(written):
            return [("colour", int(written[1:], 16))]
        numbers = [int(part) for part in re.split(r"[ ,]+", written.strip()) if part.isdecimal()]
        if len(numbers) == 3 and max(numbers) <= 255:
            return [("colour", numbers[0] << 16 | numbers[1] << 8 | numbers[2])]
    message = f"{name!r} is given {written!r}; expected a whole number, a colour as 'r,g,b' or '#rrggbb', or a list."
    raise ArgumentError(message)
