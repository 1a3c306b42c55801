"""Output formats of predictions."""

import csv
import io
import json
from pathlib import Path
from typing import Any, Self
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from visiontasks.files import replacing
from visiontasks.prediction.coco_ids import CocoIds
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.writers import FolderWriter, TextWriter, Writer
from visiontasks.visualization import encode_picture, index_image


class JsonLines(TextWriter):
    """A line of JSON for each image, including those that could not be read."""

    suffix = ".jsonl"

    def encode(self, prediction: Prediction) -> str:
        """See :meth:`~visiontasks.prediction.results.Prediction.as_dict`."""
        return json.dumps(prediction.as_dict()) + "\n"


class Csv(TextWriter):
    """A row for each image, or for each box of a detector: file, label, class, score, and the corners of the box.

    Several classes of an image are separated by semicolons.

    Args:
        output: The file.
        boxes: Whether there are boxes.
    """

    suffix = ".csv"

    def __init__(self, output: Path | None, boxes: bool) -> None:
        super().__init__(output)
        self.head = "file,label,class,score" + (",xmin,ymin,xmax,ymax" if boxes else "") + "\n"

    def encode(self, prediction: Prediction) -> str:
        """Write the rows of an image; none when it could not be read."""
        if prediction.error is not None:
            return ""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        scores = [f"{score:.6f}" for score in prediction.scores]
        columns = (prediction.labels, prediction.class_names, scores)
        if prediction.boxes is None:
            rows.writerow([prediction.name, *(";".join(map(str, column)) for column in columns)])
            return text.getvalue()
        for *cells, box in zip(*columns, prediction.boxes, strict=True):
            rows.writerow([prediction.name, *cells, *(f"{corner:.2f}" for corner in box)])
        return text.getvalue()


class CocoResults(TextWriter):
    """COCO results format: ``image_id``, ``category_id``, ``bbox`` or ``segmentation``, ``score``, in one list.

    Each entry also has ``file_name``. The background of a segmentation is left out.

    Args:
        output: The file.
        ids: Ids of images and classes.
    """

    suffix = ".json"
    head, separator, tail = "[\n", ",\n", "\n]\n"

    def __init__(self, output: Path | None, ids: CocoIds) -> None:
        super().__init__(output)
        self.ids = ids

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
            found = {"category_id": self.ids.categories[entry["class"]]}
            if "mask" in entry:
                entries.append({**image, **found, "segmentation": entry["mask"]})
                continue
            x1, y1, x2, y2 = entry["box"]
            box = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)]
            entries.append({**image, **found, "bbox": box, "score": entry["score"]})
        return self.separator.join(map(json.dumps, entries))


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
        found = zip(prediction.class_names, prediction.scores, prediction.boxes or (), strict=True)
        for class_name, score, (x1, y1, x2, y2) in found:
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


FORMATS: dict[str, type[Writer]] = {
    "csv": Csv,
    "jsonl": JsonLines,
    "coco": CocoResults,
    "voc": VocXml,
    "png": MaskImages,
    "npz": Codes,
}


def _add(parent: Element, **values: object) -> None:
    for name, value in values.items():
        SubElement(parent, name).text = str(value)


def _printable(name: str) -> str:
    """Escape what XML cannot represent, such as bytes that are not valid UTF-8."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
