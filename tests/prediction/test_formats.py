"""Files of predictions, read back by the tools that they are for."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.index.voc_xml import read_annotation
from visiontasks.errors import ArgumentError, DataError
from visiontasks.prediction.coco_ids import number_images, read_ids
from visiontasks.prediction.formats import BoxCsv, CocoBoxes, CocoMasks, Codes, Csv, JsonLines, MaskImages, VocXml
from visiontasks.prediction.instance_images import InstanceImages
from visiontasks.prediction.results import Prediction, decoded_window, pasted_run_lengths, run_lengths
from visiontasks.prediction.writers import Writer
from visiontasks.prediction.writing import write_predictions

NAMES = ["cat", "dog"]
FOUND = [
    Prediction(
        Path("in/7.jpg"), (40, 60), (1, 0), ("dog", "cat"), (0.9, 0.25), ((1.5, 2, 30.25, 38), (10.0, 0.0, 20.0, 9.0))
    ),
    Prediction(Path("in/bad.jpg"), error="'in/bad.jpg' could not be read"),
    Prediction(Path("in/nothing.jpg"), (40, 60), boxes=()),
]
FILES = [Path(str(prediction.name)) for prediction in FOUND]


def write(writer: Writer, predictions: list[Prediction]) -> None:
    with writer:
        assert len(list(write_predictions(predictions, writer, all_boxes=True))) == len(predictions)


def test_json_lines_hold_every_image(tmp_path: Path) -> None:
    write(JsonLines(tmp_path / "new" / "x.jsonl"), FOUND)
    lines = [json.loads(line) for line in (tmp_path / "new" / "x.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [str(file) for file in FILES]
    first = {"label": 1, "class": "dog", "score": 0.9, "box": [1.5, 2, 30.25, 38]}
    assert lines[0]["objects"][0] == first
    assert (lines[0]["height"], lines[0]["width"]) == (40, 60)
    assert lines[1] == {"file": "in/bad.jpg", "error": "'in/bad.jpg' could not be read"}
    assert lines[2]["objects"] == []


def test_csv_has_a_row_for_each_box_or_each_image(tmp_path: Path) -> None:
    write(BoxCsv(tmp_path / "x.csv"), FOUND)
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [(row["file"], row["class"], row["xmax"]) for row in rows] == [
        ("in/7.jpg", "dog", "30.25"),
        ("in/7.jpg", "cat", "20.00"),
    ]
    write(Csv(tmp_path / "x.csv"), [FOUND[0]._replace(boxes=None), FOUND[2]._replace(boxes=None)])
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert rows[0] == {"file": "in/7.jpg", "label": "1;0", "class": "dog;cat", "score": "0.900000;0.250000"}
    assert rows[1]["class"] == ""


def annotations(folder: Path) -> Path:
    objects = [
        {"id": 1, "image_id": 70, "category_id": 18, "bbox": [1.5, 2, 28.75, 36], "area": 1035, "iscrowd": 0},
        {"id": 2, "image_id": 70, "category_id": 17, "bbox": [10, 0, 10, 9], "area": 90, "iscrowd": 0},
    ]
    content = {
        "info": {},  # without it, pycocotools 2.0.10 reads no results
        "images": [{"id": 70 + n, "file_name": str(file), "height": 40, "width": 60} for n, file in enumerate(FILES)],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 19, "name": "horse"}],
        "annotations": objects,
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_results_score_in_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = annotations(tmp_path)
    write(CocoBoxes(tmp_path / "x.json", FILES, NAMES, path), FOUND)
    truth = COCO(str(path))
    results = truth.loadRes(str(tmp_path / "x.json"))
    assert {(entry["image_id"], entry["category_id"]) for entry in results.anns.values()} == {(70, 17), (70, 18)}
    assert all(entry["file_name"] == "in/7.jpg" for entry in results.anns.values())
    scored = COCOeval(truth, results, "bbox")
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    assert scored.stats[0] == pytest.approx(1)
    # A whole path ends as the annotations call the image.
    far = [Path("/data") / file for file in FILES]
    assert list(read_ids(path, far, NAMES).images.values()) == [70, 71, 72]
    # Ids stay what they are, addresses name files, and a root category is not the class of its name.
    ids: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [{"category_id": "c0"}],
        "categories": [{"id": "c0", "name": NAMES[0]}],
    }
    ids["images"] = [{"id": f"00{number}", "coco_url": f"http://a.org/{file}"} for number, file in enumerate(FILES)]
    ids["categories"] += [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    path.write_text(json.dumps(ids))
    found = read_ids(path, far, NAMES)
    assert (list(found.images.values()), found.categories[NAMES[0]]) == (["000", "001", "002"], "c0")
    path.write_text(path.read_text().replace("/7.jpg", "/a%20cat.jpg"))
    assert "in/a cat.jpg" in str(read_ids(path, [Path("in/a cat.jpg")], NAMES).images)
    with pytest.raises(ArgumentError, match=r"such as in/other\.jpg, zebra"):
        read_ids(path, [Path("in/other.jpg")], ["zebra"])
    path.write_text("{}")
    with pytest.raises(DataError, match="COCO's form"):
        read_ids(path, FILES, NAMES)
    capsys.readouterr()


def instances() -> list[Prediction]:
    """Two overlapping masks in an image, one of which reaches from its top to its bottom."""
    masks = torch.zeros(2, 40, 60, dtype=torch.uint8)
    masks[0, 2:38, 2:30] = 1
    masks[0, 10, 5:9] = 0
    masks[1, :, 10:20] = 1
    return [FOUND[0]._replace(instances=tuple(run_lengths(mask) for mask in masks)), *FOUND[1:]]


def test_coco_results_of_instances_score_in_pycocotools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = annotations(tmp_path)
    content = json.loads(path.read_text())
    for entry, mask in zip(content["annotations"], instances()[0].instances or (), strict=True):
        entry["segmentation"] = mask
    path.write_text(json.dumps(content))
    write(CocoBoxes(tmp_path / "x.json", FILES, NAMES, path), instances())
    truth = COCO(str(path))
    results = truth.loadRes(str(tmp_path / "x.json"))
    for kind in ("bbox", "segm"):
        scored = COCOeval(truth, results, kind)
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
        assert scored.stats[0] == pytest.approx(1)
    capsys.readouterr()
    write(JsonLines(tmp_path / "x.jsonl"), instances())
    first = json.loads((tmp_path / "x.jsonl").read_text().splitlines()[0])["objects"][1]
    assert (first["class"], first["box"]) == ("cat", [10.0, 0.0, 20.0, 9.0])
    assert rle.decode(first["mask"]).sum() == 400


def test_masks_in_windows_have_the_run_lengths_of_whole_ones() -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        height, width = generator.integers(1, 12, 2).tolist()
        top, left = int(generator.integers(0, height)), int(generator.integers(0, width))
        bottom, right = int(generator.integers(top, height)) + 1, int(generator.integers(left, width)) + 1
        whole = np.zeros((height, width), np.uint8)
        part = whole[top:bottom, left:right]
        part[:] = generator.random(part.shape) < generator.choice([0, 0.5, 1])
        window = (left, top, right, bottom)
        encoded = pasted_run_lengths((window, part), (height, width))
        assert encoded == run_lengths(torch.from_numpy(whole))
        (left, top, right, bottom), mask = decoded_window(encoded)
        assert mask.sum() == whole.sum()
        np.testing.assert_array_equal(whole[top:bottom, left:right], mask)


def test_instances_are_numbered_in_images_and_listed(tmp_path: Path) -> None:
    write(InstanceImages(tmp_path, FILES, NAMES), instances())
    with Image.open(tmp_path / "7.png") as image:
        numbers = np.array(image)
        assert image.mode == "I;16"
    assert numbers.shape == (40, 60)
    assert (numbers[2:38, 2:30] == 1).sum() == 36 * 28 - 4
    assert (numbers == 2).sum() == 10 * 4
    assert not numbers[:, 30:].any()
    assert (tmp_path / "instances.csv").read_text().splitlines() == [
        "file,id,label,class,score",
        "in/7.jpg,1,1,dog,0.900000",
        "in/7.jpg,2,0,cat,0.250000",
    ]
    assert not (tmp_path / "bad.png").exists()
    # By default, what is unlikely is left out.
    with InstanceImages(tmp_path / "likely", FILES, NAMES) as writer:
        assert len(list(write_predictions(instances(), writer))) == 3
    assert len((tmp_path / "likely" / "instances.csv").read_text().splitlines()) == 2


def test_without_annotations_images_are_numbered(tmp_path: Path) -> None:
    write(CocoBoxes(tmp_path / "x.json", FILES, NAMES), [FOUND[2], FOUND[1]])
    assert json.loads((tmp_path / "x.json").read_text()) == []
    assert number_images(FILES, NAMES).images == dict(zip(FILES, (1, 2, 3), strict=True))
    assert number_images([Path("a/7.jpg"), Path("b/7.jpg")], NAMES).images == {Path("a/7.jpg"): 1, Path("b/7.jpg"): 2}


def test_voc_files_are_read_back(tmp_path: Path) -> None:
    odd = FOUND[0]._replace(name=Path("in/a & <b> \udce9\x07.jpg"))
    writer = VocXml(tmp_path, [*FILES, Path(str(odd.name))])
    write(writer, [*FOUND, odd])
    found = read_annotation(tmp_path / "7.xml")
    assert not found.problems
    assert (found.file_name, found.size) == ("7.jpg", (40, 60))
    assert [one.name for one in found.objects] == ["dog", "cat"]
    # 1-based, both corners inside: what the reader takes for x1 - 1, y1 - 1, x2, y2.
    assert found.objects[0].box == (2.5, 3, 30.25, 38)
    assert not (tmp_path / "bad.xml").exists()
    assert read_annotation(tmp_path / "nothing.xml").objects == []
    other = read_annotation(tmp_path / writer.targets[odd.name])
    assert other.file_name == "a & <b> \\udce9\\x07.jpg"
    assert len(other.objects) == 2


def segmented(mask: torch.Tensor) -> Prediction:
    labels = range(len(mask)) if mask.ndim == 3 else torch.unique(mask).tolist()
    names = ("background", "cat", "dog")
    height, width = mask.shape[-2:]
    return Prediction(
        Path("m.jpg"), (height, width), tuple(labels), tuple(names[label] for label in labels), (0.5,) * len(labels),
        mask=mask,
    )  # fmt: skip


@pytest.mark.parametrize("layers", [(), (3,)], ids=["one class for a pixel", "several"])
def test_masks_come_back_from_run_lengths_and_from_png(layers: tuple[int, ...], tmp_path: Path) -> None:
    mask = torch.randint(2 if layers else 3, (*layers, 17, 23), dtype=torch.uint8)
    prediction = segmented(mask)
    write(MaskImages(tmp_path, [Path("m.jpg")], ["background", "cat/s", "dog"]), [prediction])
    files = [tmp_path / f"m_{name}.png" for name in ("background", "cat_s", "dog")] if layers else [tmp_path / "m.png"]
    read = np.stack([read_mask(file) for file in files])
    assert np.array_equal(read if layers else read[0], mask.numpy())
    write(JsonLines(tmp_path / "m.jsonl"), [prediction])
    classes: list[dict[str, Any]] = json.loads((tmp_path / "m.jsonl").read_text())["classes"]
    for entry in classes:
        expected = mask[entry["label"]] if layers else mask == entry["label"]
        assert np.array_equal(rle.decode(entry["mask"]), expected.byte().numpy())
    write(CocoMasks(tmp_path / "m.json", [Path("m.jpg")], ["background", "cat", "dog"]), [prediction])
    results = json.loads((tmp_path / "m.json").read_text())
    assert [entry["category_id"] for entry in results] == [1, 2]
    assert results[0]["segmentation"] == classes[1]["mask"]


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    def failing() -> Any:  # noqa: ANN401 - an iterator that fails
        yield from FOUND * 20
        raise RuntimeError

    path = tmp_path / "x.jsonl"
    path.write_text("of before")
    writer = JsonLines(path)
    with pytest.raises(RuntimeError), writer:
        list(write_predictions(failing(), writer))
    assert path.read_text() == "of before"
    write(JsonLines(path), FOUND)
    assert len(path.read_text().splitlines()) == 3


def test_codes_are_arrays_and_lines_of_json(tmp_path: Path) -> None:
    codes = [
        Prediction(Path("a.png"), (4, 6), code=(0.5, -1.25)),
        FOUND[1],
        Prediction(Path("b.png"), (2, 3), code=(1.0, 0.1)),
    ]
    write(Codes(tmp_path / "new" / "x.npz"), codes)
    with np.load(tmp_path / "new" / "x.npz") as found:
        assert found["files"].tolist() == ["a.png", "b.png"]
        assert np.array_equal(found["codes"], np.array([[0.5, -1.25], [1.0, 0.1]], np.float32))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x.npz"]
    write(JsonLines(tmp_path / "x.jsonl"), codes)
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert lines[0] == {"file": "a.png", "height": 4, "width": 6, "code": [0.5, -1.25]}
    assert set(lines[1]) == {"file", "error"}
