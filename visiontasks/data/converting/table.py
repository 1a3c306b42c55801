"""A table with a row for each object."""

import csv
from pathlib import Path

from visiontasks.data.converting.content import Content


def write_csv(content: Content, folder: Path) -> None:
    """Write classes and, if there are any, boxes (xyxy in pixels, with all their digits). Ignored objects are left out.

    An image without objects is a row without class and box.

    Args:
        content: What to write.
        folder: Where to write ``labels.csv``.
    """
    content.omit_areas()
    content.omit_segments()
    corners = ("xmin", "ymin", "xmax", "ymax") if content.has_boxes() else ()
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "split", "height", "width", "class", *corners])
        for split in content.indices:
            for picture in content.pictures(split):
                image = [picture.name, split, *picture.size]
                kept = content.omit_marks(picture)
                for row in kept:
                    box = [] if picture.boxes is None else picture.boxes[row].tolist()
                    rows.writerow([*image, content.class_names[picture.labels[row]], *box])
                if not kept:
                    rows.writerow([*image, "", *("" for _ in corners)])
