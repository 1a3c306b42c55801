"""COCO evaluation of the masks of 5,000 images with 36,000 objects: ours against pycocotools and hotcoco.

Command: PYTHONPATH=.:FOLDER_OF_HOTCOCO python benchmarks/mask_evaluation.py [--images 5000] [--rounds 1]

80 classes and up to 100 detections for each image of 480 x 640; crowds, empty masks, equal scores, images without
objects or without detections are among them. Every side starts with masks in memory in the form that it compares
(pycocotools and hotcoco: compressed run lengths in dictionaries; ours: runs of detections, bits of objects) and ends
with COCO's twelve figures; pasting and encoding, which come before, are reported beside it. Each measurement runs on
one thread in a process of its own, which reports the seconds of the processor. hotcoco is left out where it is not
installed (pip install --target FOLDER hotcoco).
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visiontasks.detection.mask_pasting import Pasted
from visiontasks.instance_masks import pack_parts
from visiontasks.metrics.coco_scoring import coco_scores
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.mask_overlaps import PackedMasks, Runs, mask_overlaps, runs_of
from visiontasks.metrics.overlaps import Overlaps
from visiontasks.prediction.results import RunLengths, pasted_run_lengths

CLASSES, OBJECTS, DETECTIONS = 80, 7, 100
HEIGHT, WIDTH, CORNERS = 480, 640, 24
TOGETHER = 16
"""Images that are compared at a time, as those of a batch."""

Group = tuple[np.ndarray, Runs, np.ndarray, tuple[np.ndarray, np.ndarray]]
"""Of a batch: the detections, their masks, the objects, and the bits and windows of their masks."""


def make(images: int) -> tuple[TrueObjects, list[Pasted], Detections, list[Pasted]]:
    """Draw objects, and detections near and far from them, sorted by image: polygons in boxes of 8 to 300 pixels."""
    generator = np.random.default_rng(0)

    def boxes(count: int) -> np.ndarray:
        sides = np.exp(generator.uniform(np.log(8), np.log(300), (count, 2)))
        corner = generator.uniform(0, 1, (count, 2)) * (np.array([WIDTH, HEIGHT]) - sides)
        return np.concatenate([corner, corner + sides], 1)

    # One image in twenty has no object.
    counts = generator.integers(1, 2 * OBJECTS + 1, images) * (generator.random(images) > 0.05)
    owners = np.repeat(np.arange(images), counts)
    own, labels = boxes(len(owners)), generator.integers(0, CLASSES, len(owners))
    outlines = generator.uniform(0.6, 1, (len(owners), CORNERS))
    outlines[generator.random(len(owners)) < 0.005] = 0
    near = np.repeat(np.arange(len(owners)), 3)
    sides = np.tile(own[near, 2:] - own[near, :2], 2)
    kinds = np.where(generator.random(len(near)) < 0.8, labels[near], generator.integers(0, CLASSES, len(near)))
    # One image in twenty has no detections except those near its objects.
    rest = np.maximum(DETECTIONS - 3 * counts, 0) * (generator.random(images) > 0.05)
    far = np.repeat(np.arange(images), rest)
    found = np.concatenate([own[near] + generator.normal(0, 0.06, (len(near), 4)) * sides, boxes(len(far))])
    likeness = outlines[near] + generator.normal(0, 0.05, (len(near), CORNERS))
    shapes = np.concatenate([likeness.clip(0, 1), generator.uniform(0.6, 1, (len(far), CORNERS))])
    fields = (
        np.concatenate([owners[near], far]),
        found,
        np.concatenate([kinds, generator.integers(0, CLASSES, len(far))]),
        # Rounded to three digits, so that many scores are equal.
        np.concatenate([generator.beta(4, 2, len(near)), generator.beta(1, 6, len(far))]).round(3),
    )
    order = np.argsort(fields[0], kind="stable")
    true = list(draw(own, outlines))
    areas = np.array([mask.sum() for _, mask in true], np.float64)
    objects = TrueObjects(owners, own, labels, generator.random(len(owners)) < 0.03, areas)
    return objects, true, Detections(*(field[order] for field in fields)), list(draw(found[order], shapes[order]))


def draw(boxes: np.ndarray, outlines: np.ndarray) -> Iterator[Pasted]:
    """Fill polygons around the centres of boxes; distances of the corners are in shares of half the sides."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], -1)
    for box, outline in zip(boxes, outlines, strict=True):
        left, top = np.floor(box[:2]).clip(0, [WIDTH - 1, HEIGHT - 1]).astype(int).tolist()
        right, bottom = np.ceil(box[2:]).clip([left + 1, top + 1], [WIDTH, HEIGHT]).astype(int).tolist()
        mask = np.zeros((bottom - top, right - left), np.uint8)
        if outline.any():
            middle, half = (box[:2] + box[2:]) / 2 - [left, top], (box[2:] - box[:2]) / 2
            corners = middle + directions * outline[:, None] * half
            cv2.fillPoly(mask, [corners.round().astype(np.int32)], (1,))
        yield (left, top, right, bottom), mask


def prepare(images: int, folder: Path) -> None:
    """Draw the masks, and write them in the form of each side."""
    objects, true, detections, found = make(images)
    start = time.process_time()
    groups: list[Group] = []
    for first in range(0, images, TOGETHER):
        chosen = [
            np.flatnonzero((owners >= first) & (owners < first + TOGETHER))
            for owners in (detections.images, objects.images)
        ]
        parts = [true[index] for index in chosen[1]]
        bits = pack_parts([mask for _, mask in parts], [window[:2] for window, _ in parts])
        groups.append((chosen[0], runs_of(found[index] for index in chosen[0]), chosen[1], bits))
    ours = time.process_time() - start
    start = time.process_time()
    size = (HEIGHT, WIDTH)
    theirs = [[pasted_run_lengths(mask, size) for mask in masks] for masks in (true, found)]
    count = len(true) + len(found)
    print(f"{len(true):,} objects, {len(found):,} detections; one side at a time, seconds of the processor")
    encoding = (time.process_time() - start) / count * 1e6
    print(f"not counted: encoding, ours {ours / count * 1e6:.0f} us for a mask, run lengths {encoding:.0f} us")
    (folder / "ours").write_bytes(pickle.dumps((objects, detections, groups)))
    (folder / "theirs").write_bytes(pickle.dumps((objects, detections, theirs)))


def by_ours(objects: TrueObjects, detections: Detections, groups: list[Group]) -> list[float]:
    """Compare the masks of batch after batch, then score, as the metric does."""
    parts = []
    for found, runs, true, packed in groups:
        one = Detections(*(field[found] for field in detections))
        other = TrueObjects(*(field[true] for field in objects))
        overlaps = mask_overlaps(one, runs, other, PackedMasks(*packed))
        pairs = found[overlaps.detections], true[overlaps.objects]
        parts.append(Overlaps(overlaps.areas, *pairs, overlaps.values))
    overlaps = Overlaps(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
    return list(coco_scores(detections, objects, CLASSES, overlaps=overlaps).summary().values())


def coco_form(
    objects: TrueObjects, detections: Detections, masks: list[list[RunLengths]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Bring objects and detections to COCO's dictionaries."""
    images = int(max(objects.images.max(), detections.images.max())) + 1
    boxes = np.concatenate([objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]], 1)
    fields = (objects.images.tolist(), objects.labels.tolist(), objects.ignore.tolist(), objects.areas.tolist())
    names = ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation")
    annotations = [
        dict(zip(names, (number, *row), strict=True))
        for number, row in enumerate(zip(*fields, boxes.tolist(), masks[0], strict=True), 1)
    ]
    columns = (detections.images.tolist(), detections.labels.tolist(), detections.scores.tolist(), masks[1])
    results = [
        {"image_id": i, "category_id": k, "score": s, "segmentation": m} for i, k, s, m in zip(*columns, strict=True)
    ]
    truth = {
        "info": {},
        "images": [{"id": i, "width": WIDTH, "height": HEIGHT} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
    }
    return truth, results


def by_coco_api(dataset: dict[str, Any], results: list[dict[str, Any]], fast: bool) -> list[float]:
    """Evaluate by pycocotools or by hotcoco."""
    truth: Any
    with contextlib.redirect_stdout(io.StringIO()):
        if fast:
            from hotcoco import COCO, COCOeval  # no dependency

            truth = COCO(dataset)
        else:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval

            truth = COCO()
            truth.dataset = dataset
            truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:12]]


def run(side: str, folder: Path) -> None:
    """Measure one side in this process and print the result as JSON."""
    objects, detections, masks = pickle.loads((folder / ("ours" if side == "ours" else "theirs")).read_bytes())
    if side == "ours":
        start = time.process_time()
        figures = by_ours(objects, detections, masks)
    else:
        form = coco_form(objects, detections, masks)
        start = time.process_time()
        figures = by_coco_api(*form, fast=side == "hotcoco")
    print(json.dumps({"seconds": time.process_time() - start, "figures": figures}))


def main() -> int:
    """Measure all sides in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        run(options.side, options.folder)
        return 0
    sides = ["ours", "pycocotools"] + ["hotcoco"] * bool(importlib.util.find_spec("hotcoco"))
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        prepare(options.images, Path(folder))
        for _ in range(options.rounds):
            for side in sides:
                command = [sys.executable, __file__, "--side", side, "--folder", folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                results[side].append(json.loads(done.stdout))
    seconds = {side: statistics.median(one["seconds"] for one in rounds) for side, rounds in results.items()}
    for side, value in seconds.items():
        print(f"{side:<14} {value:8.2f} s")
    checks = {}
    for side, target in (("pycocotools", 0.2), ("hotcoco", 1.0)):
        if side in seconds:
            ours, theirs = (np.array(results[name][0]["figures"]) for name in ("ours", side))
            difference = float(np.abs(ours - theirs).max())
            checks[f"12 figures equal {side}'s within 1e-9 ({difference:.1e})"] = difference < 1e-9
            ratio = seconds["ours"] / seconds[side]
            checks[f"seconds / {side}'s {ratio:.3f}, target {target:.1f}"] = ratio <= target
    for text, met in checks.items():
        print(f"  {text}: {'met' if met else 'NOT MET'}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
