"""The layouts of tools, each as a small data set in the form that the tool writes."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visiontasks
from tests.data.index.voc_writer import thing, xml
from visiontasks import COCODataModule, CSVDataModule, FolderDataModule, VOCDataModule
from visiontasks.data.check import check
from visiontasks.data.datamodules.layouts import LAYOUTS, Layout, module_of
from visiontasks.data.index.foreign import JSON_FORMS, XML_FORMS
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.data.lightning_modules import FileDataModule
from visiontasks.errors import DataError

BOX = (3, 4, 20, 15)
Write = Callable[[Path, str, str], None]


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((30, 40, 3), len(file.name), np.uint8)).save(file)


def coco(folder: str = "", prefix: str = "", **fields: object) -> Write:
    """Write the images into a folder, by names with a prefix."""

    def write(root: Path, path: str, split: str) -> None:
        record: dict[str, Any] = {"id": 1, "width": 40, "height": 30, "file_name": f"{prefix}{split}_1.png"}
        x0, y0, x1, y1 = BOX
        entry = {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": 187,
            "iscrowd": 0,
        }
        entry["segmentation"] = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        picture(root / folder.format(split) / str(record["file_name"]))
        if "coco_url" in fields:
            record["coco_url"] = f"http://images.cocodataset.org/{folder.format(split)}/{record.pop('file_name')}"
        categories = [{"id": 1, "name": "cat", "supercategory": "animals"}]
        if "root" in fields:
            categories.insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps({"images": [record], "annotations": [entry], "categories": categories}))

    return write


def voc(images: str) -> Write:
    def write(root: Path, path: str, split: str) -> None:
        stem = f"{split}_1" if split else "1"
        picture(root / images.format(split) / f"{stem}.png")
        x0, y0, x1, y1 = BOX
        (root / path).mkdir(parents=True, exist_ok=True)
        text = xml([thing("cat", (x0 + 1, y0 + 1, x1, y1))], (40, 30), f"{stem}.png")
        (root / path / f"{stem}.xml").write_text(text)

    return write


def table(folder: str, header: str, row: str) -> Write:
    def write(root: Path, path: str, split: str) -> None:
        picture(root / folder.format(split) / f"{split}_1.png")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{header}\n{row.format(f'{split}_1.png')}\n")

    return write


def yolo(root: Path, path: str, split: str) -> None:
    """Write images, a label file for each, and the description of them."""
    x0, y0, x1, y1 = BOX
    middle = f"0 {(x0 + x1) / 80} {(y0 + y1) / 60} {(x1 - x0) / 40} {(y1 - y0) / 30}\n"
    for name in ("train", "val"):
        picture(root / "images" / name / f"{name}_1.png")
        (root / "labels" / name).mkdir(parents=True)
        (root / "labels" / name / f"{name}_1.txt").write_text(middle)
        (root / f"{name}.txt").write_text(f"images/{name}/{name}_1.png\n")
    (root / "obj.names").write_text("cat\n")
    text = "train: images/train\nval: images/val\nnames: [cat]\n"
    if path == "obj.data":
        text = "classes = 1\ntrain = train.txt\nvalid = val.txt\nnames = obj.names\n"
    (root / path).write_text(text)


# The form in which each tool writes; the names of the files are those of the table of layouts.
FORMS: dict[tuple[str, str], Write] = {
    ("annotations/instances_{}.json", "COCO, CVAT, Datumaro"): coco("images/{}"),
    ("annotations/{}.json", "COCO"): coco("images"),
    ("{}/_annotations.coco.json", "Roboflow"): coco("{}", root=True),
    ("{}/labels.json", "FiftyOne"): coco("{}/data"),
    ("{}.json", "COCO"): coco("{}"),
    ("instances_{}.json", "COCO"): coco("{}"),
    ("lvis_v1_{}.json", "LVIS"): coco("{}", coco_url=True),
    ("annotations/lvis_v1_{}.json", "LVIS"): coco("{}", coco_url=True),
    ("annotations/instances_default.json", "CVAT, Datumaro"): coco("images"),
    ("result.json", "Label Studio"): coco("", "images/"),
    ("labels.json", "FiftyOne"): coco("data"),
    ("{}", "Roboflow"): voc("{}"),
    ("{}/labels", "FiftyOne"): voc("{}/data"),
    ("{}/annotations", "labelImg"): voc("{}/images"),
    ("annotations/{}", "labelImg"): voc("images/{}"),
    ("Annotations", "PASCAL VOC, CVAT, Datumaro"): voc("JPEGImages"),
    ("annotations", "Label Studio, Kaggle"): voc("images"),
    ("annotations/xmls", "Oxford-IIIT Pet"): voc("images"),
    ("labels", "FiftyOne"): voc("data"),
    ("", "labelImg"): voc(""),
    ("{}.csv", "Kaggle"): table("{}", "image,xmin,ymin,xmax,ymax,label", "{},3,4,20,15,cat"),
    ("{}/_annotations.csv", "Roboflow"): table(
        "{}", "filename,width,height,class,xmin,ymin,xmax,ymax", "{},40,30,cat,3,4,20,15"
    ),
    ("{}/_classes.csv", "Roboflow"): table("{}", "filename, cat, dog", "{}, 1, 0"),
    ("{}_labels.csv", "TensorFlow"): table(
        "images/{}", "filename,width,height,class,xmin,ymin,xmax,ymax", "{},40,30,cat,3,4,20,15"
    ),
}
FORMS |= {(layout.annotations, layout.tools): yolo for layout in LAYOUTS if layout.module == "YOLODataModule"}


@pytest.mark.parametrize("capitalised", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.tools}: {layout.annotations}")
def test_every_layout_is_read(layout: Layout, capitalised: bool, tmp_path: Path) -> None:
    write = FORMS[layout.annotations, layout.tools]
    splits = ("train", "val") if "{}" in layout.annotations else ("",)
    described = layout.module == "YOLODataModule"  # whose file says where the splits are
    for split in splits:
        name = SPLIT_NAMES[split][-2 if split == "val" else 0] if split else ""
        name = name.capitalize() if capitalised else name
        write(tmp_path, layout.annotations.format(name), name)
    kind: type[FileDataModule] = getattr(visiontasks, layout.module)
    flags = layout.annotations.endswith("_classes.csv")
    data = kind(tmp_path, "classification" if flags else "detection", num_workers=0)
    for split in ("train", "val") if splits[0] or described else ("train",):
        index = data.splits.own(split).index
        assert len(index) == 1
        assert index.class_names == (("cat", "dog") if flags else ("cat",))
        assert index.file(0).is_file()
        assert flags or np.allclose(index.objects(0).boxes, [BOX], atol=1e-9)  # type: ignore[arg-type]
    assert data.splits.origin("val") == ("own" if splits[0] or described else "dealt")
    assert module_of(tmp_path) == layout.module


JSON_FILES: dict[str, object] = {
    "panoptic annotations": {"images": [], "categories": [], "annotations": [{"image_id": 1, "segments_info": []}]},
    "captions": {"images": [], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]},
    "labelme's JSON for one image": {
        "version": "5.4.1",
        "flags": {},
        "shapes": [],
        "imagePath": "1.jpg",
        "imageData": None,
    },
    "the JSON of VGG Image Annotator": {"1.jpg123": {"filename": "1.jpg", "size": 123, "regions": []}},
    "Datumaro's JSON": {"info": {}, "categories": {"label": {"labels": []}}, "items": [{"id": "1", "annotations": []}]},
    "labels of FiftyOne": {"classes": ["cat"], "labels": {"1": 0}},
    "a data set of FiftyOne": {"samples": [{"filepath": "data/1.jpg"}]},
    "Supervisely's JSON for one image": {
        "description": "",
        "tags": [],
        "size": {"height": 3, "width": 4},
        "objects": [],
    },
    "Label Studio's JSON": [{"id": 1, "annotations": [{"result": []}], "data": {"image": "/data/upload/1.jpg"}}],
    "Label Studio's short JSON": [{"image": "/data/1.jpg", "id": 1, "label": [], "annotator": 1, "annotation_id": 1}],
    "CreateML's JSON": [{"image": "1.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1, "y": 1}}]}],
    "the JSON of BDD100K": [{"name": "1.jpg", "labels": [{"category": "car", "box2d": {"x1": 1}}]}],
    "results": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
}


@pytest.mark.parametrize("form", [form for _, form in JSON_FORMS], ids=lambda form: form.name)
def test_json_of_other_forms_is_named(form: Any, tmp_path: Path) -> None:  # noqa: ANN401 (Form)
    (tmp_path / "annotations.json").write_text(json.dumps(JSON_FILES[form.name]))
    with pytest.raises(DataError, match=re.escape(f"file holds {form.name}, a form that is not read. {form.remedy}")):
        _ = COCODataModule(tmp_path).splits["train"]
    (tmp_path / "another.json").write_text("{}")
    with pytest.raises(DataError, match="Name the annotations"):
        _ = COCODataModule(tmp_path).splits["train"]


XML_FILES = {
    "CVAT's XML for images": "<annotations><image id='0' name='a.png'><box/></image></annotations>",
    "CVAT's XML for video": "<annotations><version>1.1</version><track id='0' label='a'><box/></track></annotations>",
    "CVAT's XML": "<annotations><version>1.1</version></annotations>",
    "LabelMe's XML of polygons": "<annotation><object><polygon><pt><x>1</x></pt></polygon></object></annotation>",
    "imglab's XML": "<dataset><name>a</name><images><image file='a.jpg'><box top='1'/></image></images></dataset>",
}


@pytest.mark.parametrize("form", [form for _, form in XML_FORMS], ids=lambda form: form.name)
def test_xml_of_other_forms_is_named(form: Any, tmp_path: Path) -> None:  # noqa: ANN401 (Form)
    picture(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(XML_FILES[form.name])
    with pytest.raises(DataError, match=f"file holds {form.name}, a form that is not read"):
        _ = VOCDataModule(tmp_path).splits["train"]


@pytest.mark.parametrize(
    ("annotations", "module"),
    [
        ("annotations/instances_train.json", "COCODataModule"),
        ("annotations/instances_default.json", "COCODataModule"),
        ("annotations.json", "COCODataModule"),
        ("annotations", "VOCDataModule"),
        ("train.csv", "CSVDataModule"),
        ("boxes.csv", "CSVDataModule"),
        ("data.yaml", "YOLODataModule"),
    ],
)
def test_folders_of_another_form_name_its_module(annotations: str, module: str, tmp_path: Path) -> None:
    for name in ("images/1.png", "annotations/2.png"):
        picture(tmp_path / name)
    if module == "VOCDataModule":
        (tmp_path / annotations / "1.xml").write_text(xml([]))
    else:
        (tmp_path / annotations).write_text("{}")
    with pytest.raises(DataError, match=rf"not classes but annotations, images\. It looks like data for {module}\."):
        _ = FolderDataModule(tmp_path).splits["train"]
    assert len(FolderDataModule(tmp_path, class_names=["annotations", "images"]).splits.own("train").index) == 2


def test_images_without_folders_beside_annotations_name_the_module(tmp_path: Path) -> None:
    coco("{}")(tmp_path, "train/_annotations.coco.json", "train")
    with pytest.raises(DataError, match="It looks like data for COCODataModule"):
        _ = FolderDataModule(tmp_path).splits["train"]


def test_masks_name_their_module(tmp_path: Path) -> None:
    for name in ("images/1.png", "masks/1.png"):
        picture(tmp_path / name)
    with pytest.raises(DataError, match="It looks like data for MaskFolderDataModule"):
        _ = FolderDataModule(tmp_path).splits["train"]


def test_a_single_class_is_an_error(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png")
    picture(tmp_path / "cat" / "12.png")
    problems = check(FolderDataModule(tmp_path, num_workers=0), files=False).problems
    assert [problem.severity for problem in problems if problem.kind == "only one class"] == ["error"]


def test_a_table_of_columns_of_0_and_1_is_multilabel(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    picture(tmp_path / "12.png")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "cat", "dog"], ["1.png", 1, 0], ["12.png", 0, 1]])
    assert CSVDataModule(tmp_path).multilabel
    assert not CSVDataModule(tmp_path, multilabel=False).multilabel
