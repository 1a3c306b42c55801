"""Annotations that are wrong, or only unusual."""

import shutil

from tests.data.damages import (
    Case,
    alone,
    billion_laughs,
    boxes,
    crowd,
    cut,
    edit,
    image,
    picture,
    replace,
    shows,
    thing,
    write,
)

HEADER = "split,filename,class,xmin,ymin,xmax,ymax\n"

COCO = {
    "as it is, with an object of id 0": Case("coco", lambda root: None, 0, holds=shows()),
    "box of no width": Case(
        "coco", thing(bbox=[3, 4, 0, 5], segmentation=[]), 1, "box of zero area (1)", counted="1 x box of zero area"
    ),
    "box too thin for single precision": Case(
        "coco", thing(bbox=[55.99999999, 5, 20, 20]), 1, "box thinner than 0.01 pixels", counted="1 x box thinner than"
    ),
    "no objects": Case(
        "coco", edit(lambda c: c["annotations"].clear()), 2, "no objects to train on (1)", "no objects to train on"
    ),
    "box outside": Case(
        "coco", thing(bbox=[300, 300, 5, 5]), 1, "box outside the image (1)", counted="1 x box outside the image"
    ),
    "box partly outside": Case(
        "coco",
        thing(bbox=[20, 20, 900, 5]),
        1,
        "box reaches out of the image (1)",
        counted="1 x box reaches out",
        holds=lambda batch: (batch.boxes <= batch.sizes.flip(1).repeat(1, 2)[:, None]).all(),
    ),
    "box of three numbers": Case("coco", thing(bbox=[1, 2, 3]), 2, "annotations[0] (id 0) | [1, 2, 3]", "got 3"),
    "box of words": Case("coco", thing(bbox=["a", "b", "c", "d"]), 2, "malformed record (1)", "Expected `float`"),
    "box of no number": Case("coco", thing(bbox=[1, 2, float("nan"), 4]), 2, "[1, 2, nan, 4]", "box is not finite"),
    "corners declared as sides": Case(
        "coco",
        boxes(lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]),
        2,
        "look like [x0, y0, x1, y1]",
        "Say --data.box_format xyxy",
    ),
    "sides declared as corners": Case(
        "coco",
        lambda root: None,
        2,
        "look like [x, y, width, height]",
        "Say --data.box_format xywh",
        flags="--data.box_format xyxy",
    ),
    "fractions": Case(
        "coco", boxes(lambda box: [side / 64 for side in box]), 2, "boxes from 0 to 1 are declared", "Multiply them"
    ),
    "image id twice": Case(
        "coco", edit(lambda c: c["images"][1].update(id=5)), 2, "image id occurs", "id occurs twice"
    ),
    "category id twice": Case(
        "coco", edit(lambda c: c["categories"][1].update(id=3)), 2, "category id occurs twice", "category id occurs"
    ),
    "object id twice": Case(
        "coco", edit(lambda c: c["annotations"][1].update(id=0)), 1, "object id occurs twice", counted="1 x object id"
    ),
    "unknown category": Case("coco", thing(category_id=99), 2, "category_id 99", "unknown category"),
    "object of no image": Case(
        "coco", thing(image_id=99), 1, "image_id 99", counted="1 x object of an image that is not listed"
    ),
    "a crowd": Case("coco", edit(crowd), 0, holds=lambda batch: batch.ignore.sum() == 1),
    "image without objects": Case(
        "coco",
        edit(alone),
        1,
        "coco/train | circle | It cannot be learnt",
        holds=lambda batch: (batch.labels == -1).all(1).sum() == 1,
    ),
    "nothing but crowds": Case(
        "coco",
        edit(lambda c: [entry.update(iscrowd=1) for entry in c["annotations"]]),
        1,
        "4 of 4 | Training and evaluation ignore them: write iscrowd=0",
        counted="1 x nearly all objects have iscrowd=1",
        holds=lambda batch: bool((batch.ignore == (batch.labels >= 0)).all()),
    ),
    "category name twice": Case(
        "coco", edit(lambda c: c["categories"][1].update(name="circle")), 2, "category name occurs twice", "name occurs"
    ),
    "size of another image": Case(
        "coco", image(width=99, height=99), 2, "its annotation says 99 x 99", "its annotation says 99 x 99"
    ),
    "name that leaves the folder": Case("coco", image(file_name="../../x"), 2, "leaves the folder", "'../../x'"),
    "absolute name": Case("coco", image(file_name="/etc/passwd"), 2, "leaves the folder", "'/etc/passwd'"),
    "missing images": Case(
        "coco",
        lambda root: shutil.rmtree(root / "train"),
        2,
        "image file is missing (8)",
        "4 x image file is missing",
        flags="--data.images train",
    ),
    "unusual name": Case("coco", picture(lambda opened, path: opened.save(path), "naïve 😀 1.png"), 0, holds=shows()),
    "no json": Case("coco", write("annotations/instances_train.json", "{"), 2, "file is not JSON", "file is not JSON"),
    "results": Case("coco", write("annotations/instances_train.json", "[]"), 2, "holds a list", "not results"),
}
VOC = {
    "without difficult": Case("voc", lambda root: None, 0, holds=lambda batch: not batch.ignore.any()),
    "difficult": Case(
        "voc",
        replace("<object>", "<object><difficult>1</difficult>"),
        1,
        "nearly all objects have difficult=1 (1)",
        counted="1 x nearly all objects have difficult=1",
        holds=lambda batch: bool((batch.ignore == (batch.labels >= 0)).all()),
    ),
    "corner of 0": Case(
        "voc", replace("<xmin>", "<xmin>0</xmin><xmin>"), 0, holds=lambda batch: (batch.boxes >= 0).all()
    ),
    "billion laughs": Case("voc", write("0.xml", billion_laughs()), 2, "XML declares entities", "declares entities"),
    "no objects": Case(
        "voc", replace("object>", "thing>"), 2, "XML without object but with other", "no objects to train on"
    ),
    "half an XML file": Case("voc", cut("0.xml", 0.5), 2, "file is not XML", "file is not XML"),
    "corner of words": Case("voc", replace("<xmin>", "<xmin>left ", "0.xml"), 2, "malformed box", "malformed box"),
    "misspelt class": Case(
        "voc",
        replace("<name>", "<name>x", "0.xml"),
        2,
        "unknown class",
        "Did you mean",
        flags="--data.class_names [circle,square,triangle,star]",
    ),
    "image of no annotation": Case(
        "voc",
        lambda root: (root / "0.xml").unlink(),
        1,
        "image without annotation file (1)",
        counted="1 x image without",
    ),
    "annotation of no image": Case("voc", lambda root: (root / "0.png").unlink(), 2, "file is missing", "missing"),
    "size of another image": Case(
        "voc", replace("<height>", "<height>1"), 2, "its annotation says 1", "its annotation says 1"
    ),
}
TABLE = {
    "no objects": Case(
        "table",
        write("labels.csv", HEADER + "train,0.png,,,,,\nval,1.png,,,,,\n"),
        2,
        "no objects to train on (1)",
        "no objects to train on",
    ),
    "box of words": Case("table", write("labels.csv", HEADER + "train,0.png,star,a,b,c,d\n"), 2, "line 2", "malformed"),
    "row too short": Case("table", write("labels.csv", HEADER + "train,0.png\n"), 2, "line 2", "row of another length"),
    "not in UTF-8": Case("table", write("labels.csv", HEADER.encode() + b"train,\xff"), 2, "in UTF-8", "in UTF-8"),
}
