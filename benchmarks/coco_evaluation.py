"""COCO evaluation of 5,000 images, 80 classes, 100 detections each: ours against pycocotools and faster-coco-eval.

Command: python benchmarks/coco_evaluation.py [--images 5000] [--rounds 1]

Crowds, equal scores, images without objects and images without detections are among them. Each measurement runs in a
process of its own, which reports seconds, the memory that it added at its peak, and the twelve figures.
faster-coco-eval is left out where it is not installed.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from visiontasks.metrics.coco_scoring import coco_scores
from visiontasks.metrics.detection_records import Detections, TrueObjects

CLASSES, OBJECTS, DETECTIONS = 80, 7, 100


def make(images: int) -> tuple[TrueObjects, Detections]:
    """Draw objects, and detections near and far from them."""
    generator = np.random.default_rng(0)

    def boxes(count: int) -> np.ndarray:
        corner = generator.uniform(0, 450, (count, 2)).round(2)
        return np.concatenate(
            [corner, corner + np.exp(generator.uniform(np.log(8), np.log(300), (count, 2))).round(2)], 1
        )

    # One image in twenty has no object.
    counts = generator.integers(1, 2 * OBJECTS, images) * (generator.random(images) > 0.05)
    owners = np.repeat(np.arange(images), counts)
    own, labels = boxes(len(owners)), generator.integers(0, CLASSES, len(owners))
    areas = (own[:, 2:] - own[:, :2]).prod(1) * generator.uniform(0.4, 1, len(owners))
    objects = TrueObjects(owners, own, labels, generator.random(len(owners)) < 0.03, areas)
    near = np.repeat(np.arange(len(owners)), 3)
    sides = (own[near, 2:] - own[near, :2]).repeat(2, 1).reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1, 4)
    moved = own[near] + generator.normal(0, 0.08, (len(near), 4)) * sides
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    kinds = np.where(generator.random(len(near)) < 0.8, labels[near], generator.integers(0, CLASSES, len(near)))
    rest = np.maximum(DETECTIONS - 3 * counts, 0)
    # One image in twenty has no detections except those near its objects.
    rest *= generator.random(images) > 0.05
    far = np.repeat(np.arange(images), rest)
    detections = Detections(
        np.concatenate([owners[near], far]),
        np.concatenate([moved, boxes(len(far))]),
        np.concatenate([kinds, generator.integers(0, CLASSES, len(far))]),
        # Rounded to three digits, so that many scores are equal.
        np.concatenate([generator.beta(4, 2, len(near)), generator.beta(1, 6, len(far))]).round(3),
    )
    return objects, detections


def by_coco_api(objects: TrueObjects, detections: Detections, images: int, faster: bool) -> list[float]:
    """Evaluate by pycocotools or its replacement, from annotations in its format."""
    if faster:
        from faster_coco_eval import COCO  # no dependency
        from faster_coco_eval import COCOeval_faster as COCOeval
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    sides = np.concatenate([objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]], 1)
    rows = zip(
        objects.images.tolist(), sides.tolist(), objects.labels.tolist(), objects.ignore, objects.areas, strict=True
    )
    annotations = [
        {"id": n, "image_id": i, "bbox": b, "category_id": k, "iscrowd": int(c), "area": float(a)}
        for n, (i, b, k, c, a) in enumerate(rows, 1)
    ]
    found = np.concatenate([detections.boxes[:, :2], detections.boxes[:, 2:] - detections.boxes[:, :2]], 1)
    columns = [detections.images[:, None], found, detections.scores[:, None], detections.labels[:, None]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth: Any = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i, "width": 800, "height": 800} for i in range(images)],
            "annotations": annotations,
            "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(np.concatenate(columns, 1)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:12]]


def run(side: str, images: int) -> None:
    """Measure one side in this process and print the result as JSON."""
    objects, detections = make(images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if side == "ours":
        figures = list(coco_scores(detections, objects, CLASSES).summary().values())
    else:
        figures = by_coco_api(objects, detections, images, faster=side == "faster-coco-eval")
    seconds = time.perf_counter() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "memory": memory, "figures": figures, "detections": len(detections.scores)}))


def main() -> int:
    """Measure all sides in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side")
    options = parser.parse_args()
    if options.side:
        run(options.side, options.images)
        return 0
    sides = ["ours", "pycocotools"]
    if importlib.util.find_spec("faster_coco_eval"):
        sides.append("faster-coco-eval")
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            command = [sys.executable, __file__, "--side", side, "--images", str(options.images)]
            results[side].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {
        side: {key: statistics.median(found[key] for found in rounds) for key in ("seconds", "memory")}
        for side, rounds in results.items()
    }
    for side, figures in medians.items():
        print(f"{side:<20} {figures['seconds']:8.2f} s {figures['memory']:8.0f} MB")
    ours, reference = (np.array(results[side][0]["figures"]) for side in ("ours", "pycocotools"))
    difference = float(np.abs(ours - reference).max())
    print(f"{results['ours'][0]['detections']:,} detections; largest difference of the 12 figures {difference:.1e}")
    checks = {"12 figures equal within 1e-9": difference < 1e-9}
    for side, key, target in (
        ("pycocotools", "seconds", 0.1),
        ("pycocotools", "memory", 1 / 3),
        ("faster-coco-eval", "seconds", 0.5),
    ):
        if side in medians:
            ratio = medians["ours"][key] / medians[side][key]
            checks[f"{key} / {side}'s {ratio:.3f}, target {target:.3f}"] = ratio <= target
    for text, met in checks.items():
        print(f"  {text}: {'met' if met else 'NOT MET'}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
