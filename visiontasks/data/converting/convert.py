"""Conversion of a data set into a folder in another form."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from visiontasks.data.converting.coco import write_coco
from visiontasks.data.converting.content import Content, collect
from visiontasks.data.converting.table import write_csv
from visiontasks.data.converting.voc import write_voc
from visiontasks.data.converting.yolo import write_yolo
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.errors import ArgumentError, check_choice
from visiontasks.files import replacing_folder

IMAGES = ("copy", "link", "none")
"""What becomes of the images."""


class _Form(NamedTuple):
    write: Callable[[Content, Path], None]
    images: str
    """Folder of the images."""
    reader: str
    """Data module that reads the result."""
    ordered: bool
    """Whether the order of the classes is kept."""


_FORMS = {
    "yolo": _Form(write_yolo, "images", "YOLODataModule", ordered=True),
    "coco": _Form(write_coco, "images", "COCODataModule", ordered=True),
    "voc": _Form(write_voc, "JPEGImages", "VOCDataModule", ordered=False),
    "csv": _Form(write_csv, "images", "CSVDataModule", ordered=False),
}
FORMATS = tuple(_FORMS)


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        images: Number of images of each split.
        omitted: How many things the form cannot hold, or were changed, by what they are.
        images_folder: Folder of the images.
        options: Arguments of the data module that reads the result, by name; ``data`` is its class.
    """

    images: dict[str, int]
    omitted: dict[str, int]
    images_folder: Path
    options: dict[str, object]


def convert(data: FileData, form: str, output: str | Path, images: str = "copy") -> Conversion:
    """Write all splits of a data set in another form.

    Args:
        data: The data set.
        form: ``"yolo"``, ``"coco"``, ``"voc"`` or ``"csv"``.
        output: Folder to write, which does not exist or is empty. It is there as a whole, or not at all.
        images: ``"copy"`` copies the image files, ``"link"`` makes hard links, or symbolic ones where it cannot, and
            ``"none"`` leaves the folder of the images to you.

    Returns:
        What was written, and what the form cannot hold.

    Raises:
        ArgumentError: If an argument is wrong, the folder holds something, or the form cannot hold such data.
        DataError: If the annotations have errors.
    """
    check_choice("form", form, FORMATS)
    check_choice("images", images, IMAGES)
    folder = Path(output)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        message = f"{str(folder)!r} is there and not empty; name a new folder."
        raise ArgumentError(message)
    content = collect(data)
    target = _FORMS[form]
    if form != "csv" and not content.has_boxes():
        message = f"{str(data.root)!r} has no boxes, which format {form!r} is made of; 'csv' holds classes alone."
        raise ArgumentError(message)
    with replacing_folder(folder) as part:
        target.write(content, part)
        if images != "none":
            _place(content, part / target.images, link=images == "link")
    options: dict[str, object] = {"data": target.reader, "root": str(folder)}
    if form == "csv" and content.has_boxes():
        options["task"] = "detection"
    elif form in ("yolo", "coco") and content.polygons:
        options["task"] = data.task
    if data.exif == "ignore":
        options["exif"] = "ignore"
    if not target.ordered:
        options["class_names"] = list(content.class_names)
    return Conversion(content.counts, dict(+content.omitted), folder / target.images, options)


def _place(content: Content, folder: Path, *, link: bool) -> None:
    readable = {picture.name for split in content.indices for picture in content.pictures(split)}
    files = [(file, folder / name) for file, name in content.names.items() if name in readable]
    for parent in {target.parent for _, target in files}:
        parent.mkdir(parents=True, exist_ok=True)
    for file, target in tqdm(files, desc="images", unit=" images", disable=None):
        if not link:
            shutil.copyfile(file, target)
            continue
        try:
            os.link(file.resolve(), target)
        except OSError:  # another disk, or a file of another user
            target.symlink_to(file.resolve())
