"""VOC's form: an XML file for each image, and lists of the splits."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from visiontasks.data.converting.content import Content, Picture
from visiontasks.errors import DataError


def write_voc(content: Content, folder: Path) -> None:
    """Write boxes as 1-based inclusive corners with all their digits, and ignored objects as difficult.

    In this form, a box of at most a pixel cannot be told from one that was never drawn: it is left out.

    Args:
        content: What to write.
        folder: Where to write ``Annotations`` and ``ImageSets``.

    Raises:
        DataError: If a name has characters that XML cannot contain, or an image has other objects in another split.
    """
    content.omit_areas()
    content.omit_segments()
    written: dict[str, bytes] = {}
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for split in content.indices:
        stems = []
        for picture in content.pictures(split):
            stems.append(f"{picture.stem}\n")
            text = _annotation(content, picture)
            if written.setdefault(picture.name, text) != text:
                message = f"{picture.name!r} is in two splits with other objects; take it out of one of them."
                raise DataError(message)
            file = folder / "Annotations" / f"{picture.stem}.xml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(stems), encoding="utf-8")


def _annotation(content: Content, picture: Picture) -> bytes:
    assert picture.boxes is not None
    root = Element("annotation")
    height, width = picture.size
    _add(root, filename=picture.name.rpartition("/")[2])
    _add(SubElement(root, "size"), width=width, height=height, depth=content.channels)
    for box, label, ignored in zip(picture.boxes.tolist(), picture.labels, picture.ignore, strict=True):
        corners = {"xmin": box[0] + 1, "ymin": box[1] + 1, "xmax": box[2], "ymax": box[3]}
        if corners["xmax"] <= corners["xmin"] or corners["ymax"] <= corners["ymin"]:
            content.omitted["boxes of at most a pixel"] += 1
            continue
        entry = SubElement(root, "object")
        _add(entry, name=content.class_names[label], difficult=int(ignored))
        _add(SubElement(entry, "bndbox"), **corners)
    indent(root)
    text: bytes = tostring(root, encoding="utf-8")
    return text


def _add(parent: Element, **values: str | float) -> None:
    for name, value in values.items():
        text = f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
        if not text.isprintable():
            message = f"{text!r} holds characters that XML cannot contain; rename it."
            raise DataError(message)
        SubElement(parent, name).text = text
