"""COCO evaluation of the boxes of 5,000 images, 80 classes, 100 detections each: ours against every peer.

Command: PYTHONPATH=.:FOLDER_OF_PEERS python benchmarks/coco_evaluation.py [--images 5000] [--rounds 1]

Crowds, equal scores, images without objects and images without detections are among them. Each side runs on one thread
in a process of its own, which reports the seconds of the processor, the memory that it added at its peak, and the
twelve figures. All begin with arrays of detections; a peer has its objects in its own form already, whose making
(dictionaries and an index, once for a data set) is reported beside it and not compared. Peers are left out where they
are not installed (pip install --target FOLDER_OF_PEERS hotcoco ultrafast-pycocotools faster-coco-eval).
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
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


PEERS = {
    "pycocotools": ("pycocotools.coco.COCO", "pycocotools.cocoeval.COCOeval"),
    "faster-coco-eval": ("faster_coco_eval.COCO", "faster_coco_eval.COCOeval_faster"),
    "hotcoco": ("hotcoco.COCO", "hotcoco.COCOeval"),
    "ultrafast-pycocotools": ("ultrafast_pycocotools.coco.COCO", "ultrafast_pycocotools.cocoeval.COCOeval"),
}
"""Classes of the data and of the evaluation."""


def coco_form(objects: TrueObjects, detections: Detections, images: int) -> tuple[dict[str, Any], np.ndarray]:
    """Write the objects as COCO's dictionaries and the detections as the array that loadRes takes."""
    sides = np.concatenate([objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]], 1)
    rows = zip(
        objects.images.tolist(), sides.tolist(), objects.labels.tolist(), objects.ignore, objects.areas, strict=True
    )
    dataset = {
        "info": {},
        "images": [{"id": i, "width": 800, "height": 800} for i in range(images)],
        "annotations": [
            {"id": n, "image_id": i, "bbox": b, "category_id": k, "iscrowd": int(c), "area": float(a)}
            for n, (i, b, k, c, a) in enumerate(rows, 1)
        ],
        "categories": [{"id": k, "name": str(k)} for k in range(CLASSES)],
    }
    found = np.concatenate([detections.boxes[:, :2], detections.boxes[:, 2:] - detections.boxes[:, :2]], 1)
    columns = [detections.images[:, None], found, detections.scores[:, None], detections.labels[:, None]]
    return dataset, np.concatenate(columns, 1)


def prepared(side: str, dataset: dict[str, Any]) -> tuple[Any, Any]:
    """Make a peer's objects, and find its class of evaluation."""
    data, evaluation = (
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in PEERS[side]
    )
    truth: Any
    if side == "hotcoco":
        truth = data(dataset)
    else:
        truth = data()
        truth.dataset = dataset
        truth.createIndex()
    return truth, evaluation


def run(side: str, images: int) -> None:
    """Measure one side in this process and print the result as JSON."""
    objects, detections = make(images)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    preparation = 0.0
    if side == "ours":
        figures = list(coco_scores(detections, objects, CLASSES).summary().values())
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            dataset, results = coco_form(objects, detections, images)
            truth, kind = prepared(side, dataset)
            preparation = time.process_time() - start
            evaluation = kind(truth, truth.loadRes(results), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        figures = [float(value) for value in evaluation.stats[:12]]
    seconds = time.process_time() - start - preparation
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = {"seconds": seconds, "preparation": preparation, "memory": memory, "figures": figures}
    print(json.dumps({**row, "detections": len(detections.scores)}))


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
    sides = ["ours", *(side for side, (data, _) in PEERS.items() if importlib.util.find_spec(data.partition(".")[0]))]
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")}
    for _ in range(options.rounds):
        for side in sides:
            command = [sys.executable, __file__, "--side", side, "--images", str(options.images)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            results[side].append(json.loads(done.stdout))
    medians = {
        side: {key: statistics.median(found[key] for found in rounds) for key in ("seconds", "preparation", "memory")}
        for side, rounds in results.items()
    }
    for side, figures in medians.items():
        beside = f"({figures['preparation']:.2f} s before it)" if side in PEERS else ""
        print(f"{side:<22} {figures['seconds']:8.2f} s {figures['memory']:8.0f} MB {beside}")
    reference = np.array(results["pycocotools"][0]["figures"])
    differences = {side: float(np.abs(results[side][0]["figures"] - reference).max()) for side in sides}
    for side, difference in differences.items():
        print(f"{side}: largest difference of the 12 figures {difference:.1e}")
    checks = {"12 figures equal within 1e-9": differences["ours"] < 1e-9}
    print(f"{results['ours'][0]['detections']:,} detections")
    fastest = [side for side in ("hotcoco", "ultrafast-pycocotools") if side in medians]
    targets = {("pycocotools", "memory"): 1 / 3, ("pycocotools", "seconds"): 0.1, ("faster-coco-eval", "seconds"): 0.5}
    targets |= {(side, "seconds"): 0.9 for side in fastest}
    for (side, key), target in targets.items():
        if side in medians:
            ratio = medians["ours"][key] / medians[side][key]
            checks[f"{key} / {side}'s {ratio:.3f}, target {target:.3f}"] = ratio <= target
    for text, met in checks.items():
        print(f"  {text}: {'met' if met else 'NOT MET'}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
