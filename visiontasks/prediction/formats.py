"""Output formats of predictions."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from visiontasks.errors import ArgumentError
from visiontasks.files import replacing
from visiontasks.prediction.coco_ids import number_images, read_ids
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.writers import FolderWriter, TextWriter
from visiontasks.visualization import encode_picture, index_image


class JsonLines(TextWriter):
    """A line of JSON for each image, including those that could not be read."""

    suffix = ".jsonl"

    def encode(self, prediction: Prediction) -> str:
        """See :meth:`~visiontasks.prediction.results.Prediction.as_dict`."""
        return json.dumps(prediction.as_dict()) + "\n"


class Csv(TextWriter):
    """A row for each image: file, label, class, score; several classes of an image are separated by semicolons."""

    suffix = ".csv"
    head = "file,label,class,score\n"

    def encode(self, prediction: Prediction) -> str:
        """Write the row of an image; none when it could not be read."""
        if prediction.error is not None:
            return ""
        columns = (prediction.labels, prediction.class_names, _decimals(prediction.scores, 6))
        return _csv_lines([[prediction.name, *(";".join(map(str, column)) for column in columns)]])


class BoxCsv(TextWriter):
    """A row for each box: file, label, class, score, and the corners of the box."""

    suffix = ".csv"
    head = "file,label,class,score,xmin,ymin,xmax,ymax\n"

    def encode(self, prediction: Prediction) -> str:
        """Write the rows of an image; none when it could not be read."""
        corners = [_decimals(box, 2) for box in prediction.boxes or ()]
        scores = _decimals(prediction.scores, 6)
        rows = zip(prediction.labels, prediction.class_names, scores, corners, strict=True)
        return _csv_lines([[prediction.name, label, name, score, *box] for label, name, score, box in rows])


class ValuesCsv(TextWriter):
    """A row for each image of a task of your own: file, and the values of its ``Kind.row``, named in the first line."""

    suffix = ".csv"

    def __enter__(self) -> Self:
        """Open the file; the columns are those of the first image that can be read."""
        self._columns: list[str] = []
        return super().__enter__()

    def encode(self, prediction: Prediction) -> str:
        """Write the values of an image; none when it could not be read."""
        return "" if prediction.values is None else json.dumps([str(prediction.name), prediction.values])

    def collect(self, text: str) -> None:
        """Write the row of an image.

        Raises:
            ArgumentError: If its values have other names than those of the first image.
        """
        if not text:
            return
        name, values = json.loads(text)
        if not self._columns:
            self._columns = list(values)
            super().collect(_csv_lines([["file", *values]]))
        if list(values) != self._columns:
            message = (
                f"The values of {name!r} are {', '.join(values)}, those of the first image {', '.join(self._columns)}; "
                "expected the same in the rows of a table. Return them all in Kind.row, or write the format jsonl."
            )
            raise ArgumentError(message)
        super().collect(_csv_lines([[name, *values.values()]]))


class _CocoResults(TextWriter):
    """COCO results format: ``image_id``, ``category_id``, ``bbox``, ``segmentation`` or both, ``score``, in one list.

    Each entry also has ``file_name``.
    """

    suffix = ".json"
    has_ids = True
    head, separator, tail = "[\n", ",\n", "\n]\n"
    without_id: ClassVar[frozenset[str]] = frozenset()
    """Classes that are left out."""

    def __init__(
        self,
        output: Path | None,
        files: Sequence[Path] = (),
        class_names: Sequence[str] = (),
        annotations: Path | None = None,
    ) -> None:
        super().__init__(output, files, class_names, annotations)
        names = [name for name in class_names if name not in self.without_id]
        self.ids = number_images(files, names) if annotations is None else read_ids(annotations, files, names)

    def encode(self, prediction: Prediction) -> str:
        """Write the entries of an image."""
        if prediction.error is not None:
            return ""
        about = prediction.as_dict()
        image = {"image_id": self.ids.images[prediction.name], "file_name": about["file"]}
        entries: list[dict[str, Any]] = []
        for entry in about.get("objects") or about.get("classes", []):
            if entry["class"] not in self.ids.categories:
                continue
            fields: dict[str, Any] = {}
            if "mask" in entry:
                fields["segmentation"] = entry["mask"]
            if "box" in entry:
                x1, y1, x2, y2 = entry["box"]
                fields |= {"bbox": [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)], "score": entry["score"]}
            entries.append({**image, "category_id": self.ids.categories[entry["class"]], **fields})
        return self.separator.join(map(json.dumps, entries))


class CocoBoxes(_CocoResults):
    """Boxes in the format of COCO results, with their masks if there are some."""


class CocoMasks(_CocoResults):
    """Masks of the classes in the format of COCO results, without that of the background."""

    without_id = frozenset({"background"})


class VocXml(FolderWriter):
    """An annotation file for each image as in VOC and labelImg, with scores and 1-based inclusive corners."""

    suffix = ".xml"
    least = 0.5

    def encode(self, prediction: Prediction) -> str:
        """Write the file of an image."""
        if prediction.size is None:
            return ""
        root = Element("annotation")
        name = prediction.name.name if isinstance(prediction.name, Path) else str(prediction.name)
        height, width = prediction.size
        _add(root, filename=_printable(name))
        depth = 3 if prediction.image is None else len(prediction.image)
        _add(SubElement(root, "size"), width=width, height=height, depth=depth)
        objects = zip(prediction.class_names, prediction.scores, prediction.boxes or (), strict=True)
        for class_name, score, (x1, y1, x2, y2) in objects:
            entry = SubElement(root, "object")
            _add(entry, name=_printable(class_name), difficult=0, score=f"{score:.6f}")
            corners = {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": x2, "ymax": y2}
            _add(SubElement(entry, "bndbox"), **{corner: f"{value:.2f}" for corner, value in corners.items()})
        indent(root)
        self.write(self.target(prediction), tostring(root, encoding="utf-8"))
        return ""


class MaskImages(FolderWriter):
    """A PNG for each image whose pixels are the classes and whose palette is that of PASCAL VOC.

    In multilabel segmentation, one PNG per class is written, ``NAME_CLASS.png``.
    """

    suffix = ".png"

    def encode(self, prediction: Prediction) -> str:
        """Write the files of an image."""
        if prediction.mask is None:
            return ""
        target = self.target(prediction)
        layers = {target: prediction.mask}
        if prediction.mask.ndim == 3:
            named = zip(self.class_names, prediction.mask, strict=True)
            layers = {target.with_name(f"{target.stem}_{name.replace('/', '_')}.png"): layer for name, layer in named}
        for file, layer in layers.items():
            self.write(file, encode_picture(index_image(layer), self.suffix))
        return ""


class Codes(TextWriter):
    """Codes of all images as NumPy arrays: ``files`` and ``codes``, with a row for each image that could be read."""

    suffix = ".npz"

    def __enter__(self) -> Self:
        """Start without codes."""
        self._rows: list[tuple[str, list[float]]] = []
        return self

    def encode(self, prediction: Prediction) -> str:
        """Write the code of an image; nothing when it could not be read."""
        return "" if prediction.code is None else json.dumps([str(prediction.name), prediction.code])

    def collect(self, text: str) -> None:
        """Keep the code of an image."""
        if text:
            self._rows.append(json.loads(text))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Write the file, unless there was an error."""
        if kind is None and self.output is not None:
            files, codes = [name for name, _ in self._rows], [code for _, code in self._rows]
            with replacing(self.output) as part, part.open("wb") as stream:
                np.savez_compressed(stream, files=np.array(files, np.str_), codes=np.array(codes, np.float32))


def _decimals(values: Iterable[float], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _add(parent: Element, **values: object) -> None:
    for name, value in values.items():
        SubElement(parent, name).text = str(value)


def _printable(name: str) -> str:
    """Escape what XML cannot represent, such as bytes that are not valid UTF-8."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
