"""Annotations in forms of other tools that are not read: recognised by what they hold, to be named as what they are."""

from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

_CVAT = "In CVAT, export the task as 'COCO 1.0' or 'PASCAL VOC 1.1'."


class Form(NamedTuple):
    """A form of annotations that is not read.

    Attributes:
        name: What it is.
        remedy: How to get the same annotations in a form that is read.
    """

    name: str
    remedy: str


def _keys(content: object) -> set[str]:
    return set(content) if isinstance(content, dict) else set()


def _first(content: object) -> object:
    """Return the first entry of a list or dictionary; None if it has none."""
    entries = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return next(iter(entries), None)


def _of_list(*keys: str) -> Callable[[Any], bool]:
    """Return whether the content is a list whose first entry has these keys."""
    return lambda content: isinstance(content, list) and {*keys} <= _keys(_first(content))


def _of_annotations(key: str) -> Callable[[Any], bool]:
    """Return whether the first of the annotations has this key."""
    return lambda content: "annotations" in _keys(content) and key in _keys(_first(content["annotations"]))


JSON_FORMS: tuple[tuple[Callable[[Any], bool], Form], ...] = (
    (
        _of_annotations("segments_info"),
        Form("panoptic annotations", "Name the instances file (such as instances_train.json) of the same images."),
    ),
    (
        _of_annotations("caption"),
        Form("captions", "Name the instances file (such as instances_train.json) of the same images."),
    ),
    (
        lambda content: {"shapes", "imagePath"} <= _keys(content),
        Form(
            "labelme's JSON for one image",
            "Convert the folder into one COCO file, by labelme2coco.py of labelme's examples.",
        ),
    ),
    (
        lambda content: (
            "_via_img_metadata" in _keys(content)
            or (isinstance(content, dict) and {"filename", "regions"} <= _keys(_first(content)))
        ),
        Form("the JSON of VGG Image Annotator", "Export it there in the COCO format."),
    ),
    (
        lambda content: "items" in _keys(content) and isinstance(content.get("categories"), dict),
        Form("Datumaro's JSON", "Convert it with datumaro: datum convert -i . -f coco."),
    ),
    (
        lambda content: {"labels", "classes"} <= _keys(content) and isinstance(content["labels"], dict),
        Form("labels of FiftyOne", "Export the data set with fiftyone.types.COCODetectionDataset."),
    ),
    (
        lambda content: "samples" in _keys(content),
        Form("a data set of FiftyOne", "Export it with fiftyone.types.COCODetectionDataset."),
    ),
    (
        lambda content: {"objects", "size"} <= _keys(content),
        Form("Supervisely's JSON for one image", "Export the project as COCO there."),
    ),
    (_of_list("data", "annotations"), Form("Label Studio's JSON", "Export the project as COCO there.")),
    (_of_list("annotation_id", "annotator"), Form("Label Studio's short JSON", "Export the project as COCO there.")),
    (_of_list("image", "annotations"), Form("CreateML's JSON", "Export the data as COCO.")),
    (_of_list("name", "labels"), Form("the JSON of BDD100K", "Convert it into COCO with bdd100k.label.to_coco.")),
    (
        _of_list("image_id", "score"),
        Form("results", "Name an instances file (with images, annotations, categories), not results."),
    ),
)
"""Tests of parsed JSON, with the form that each recognises."""

XML_FORMS: tuple[tuple[Callable[[Element], bool], Form], ...] = (
    (
        lambda root: root.tag == "annotations" and root.find("image") is not None,
        Form("CVAT's XML for images", _CVAT),
    ),
    (
        lambda root: root.tag == "annotations" and root.find("track") is not None,
        Form("CVAT's XML for video", _CVAT),
    ),
    (
        lambda root: root.tag == "annotations" and root.find("version") is not None,
        Form("CVAT's XML", _CVAT),
    ),
    (
        lambda root: root.find("object/polygon/pt") is not None and root.find("object/bndbox") is None,
        Form("LabelMe's XML of polygons", "Convert its polygons into COCO."),
    ),
    (lambda root: root.tag == "dataset" and root.find("images") is not None, Form("imglab's XML", "Convert it.")),
)
"""Tests of XML with names in lower case, with the form that each recognises."""


def json_form(content: object) -> Form | None:
    """Return the form that parsed JSON has; None if it is not known.

    Example:
        >>> json_form({"version": "5.4.1", "shapes": [], "imagePath": "1.jpg"}).name
        "labelme's JSON for one image"
    """
    return next((form for recognises, form in JSON_FORMS if recognises(content)), None)


def xml_form(root: Element) -> Form | None:
    """Return the form that XML has, its names in lower case; None if it is not known."""
    return next((form for recognises, form in XML_FORMS if recognises(root)), None)
