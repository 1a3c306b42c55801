"""A COCO-sized annotation file: the packed index against pycocotools.COCO, each in fresh processes.

The file is generated: 118,000 images and 860,000 objects with polygons as long as COCO's (43 numbers on average), some
in several parts, and crowds as run lengths; the images are empty files, since our side looks whether they exist.

Command: python benchmarks/coco_index.py [FOLDER that keeps the generated files]
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import setting

IMAGES, OBJECTS, CLASSES = 118_000, 860_000, 80
ROUNDS = 3


def write_instances(folder: Path, images: int = IMAGES, objects: int = OBJECTS) -> None:
    """Write an instances file with polygons of COCO's lengths, and its images as empty files."""
    (folder / "images").mkdir(parents=True)
    for i in range(images):
        (folder / "images" / f"{i:012d}.jpg").touch()
    encode = msgspec.json.Encoder().encode
    rng = np.random.default_rng(0)
    category_ids = [1 + i + i // 9 for i in range(CLASSES)]
    categories = [
        {"id": number, "name": f"class {i}", "supercategory": "thing"} for i, number in enumerate(category_ids)
    ]
    image_of = rng.integers(0, images, objects)
    points = np.clip(rng.lognormal(2.8, 0.65, objects), 4, 300).astype(int)
    label = rng.integers(0, CLASSES, objects)
    with (folder / "instances.json").open("wb") as out:
        out.write(b'{"info": {"year": 2017}, "licenses": [], "images": [')
        for i in range(images):
            name = f"{i:012d}.jpg"
            record = {"license": 3, "file_name": name, "coco_url": f"http://images.cocodataset.org/train2017/{name}"}
            record |= {"height": 480, "width": 640, "date_captured": "2013-11-14 16:28:13", "id": 3 * i}
            out.write(b"," * (i > 0) + encode(record))
        out.write(b'], "annotations": [')
        for row in range(objects):
            center, radius = rng.uniform((100, 100), (540, 380)), rng.uniform(2, 90)
            angles = np.sort(rng.uniform(0, 2 * np.pi, points[row]))
            ring = np.round(center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), 2)
            low, high = ring.min(0), ring.max(0) + 0.01
            segmentation: Any = [ring.ravel().tolist()]
            crowd = row % 86 == 0
            if crowd:
                runs = rng.integers(1, 400, 200)
                segmentation = {"counts": [*runs.tolist(), 640 * 480 - int(runs.sum())], "size": [480, 640]}
            elif row % 10 == 0 and points[row] >= 8:
                half = points[row] // 2
                segmentation = [ring[:half].ravel().tolist(), ring[half:].ravel().tolist()]
            record = {"segmentation": segmentation, "area": round(float(np.prod(high - low)), 4), "iscrowd": int(crowd)}
            record |= {"image_id": int(3 * image_of[row]), "bbox": np.round([*low, *(high - low)], 2).tolist()}
            record |= {"category_id": category_ids[label[row]], "id": row}
            out.write(b"," * (row > 0) + encode(record))
        out.write(b'], "categories": ' + encode(categories) + b"}")


CODE = """
import gc, json, os, sys, time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

side, folder = sys.argv[1], Path(sys.argv[2])
file = folder / "instances.json"
if side == "theirs":
    from pycocotools.coco import COCO
else:
    from visiontasks.data.index.cache import load_index
    from visiontasks.data.index.coco import CocoFile

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before, start = resident(), time.perf_counter()
if side == "theirs":
    with redirect_stdout(sys.stderr):
        data = COCO(str(file))
else:
    data = load_index(CocoFile(file, folder / "images")).index
seconds = time.perf_counter() - start
if side != "theirs":  # bring every page in
    for array in (data.boxes, data.labels, data.areas, data.object_ids, data.offsets, data.files.blob):
        array.sum()
    segments = data.segments
    for array in (segments.values, segments.polygon_offsets, segments.object_offsets, segments.runs.offsets):
        array.sum()
    segments.runs.blob.sum()
memory = resident() - before

if side == "theirs":
    images = data.dataset["images"]
    objects = [entry for image in images for entry in data.imgToAnns[image["id"]]]
    boxes = np.array([entry["bbox"] for entry in objects])
    boxes[:, 2:] += boxes[:, :2]
    labels = np.searchsorted(sorted(data.getCatIds()), [entry["category_id"] for entry in objects])
    crowd = [entry["iscrowd"] for entry in objects]
    offsets = np.cumsum([0, *(len(data.imgToAnns[image["id"]]) for image in images)])
    shapes = [data.annToRLE(entry)["counts"].decode() for entry in objects[::200]]
else:
    boxes, labels, crowd, offsets = data.boxes, data.labels, data.ignore, data.offsets
    shapes = [data.segments.run_lengths(row, (480, 640))["counts"].decode() for row in range(0, len(labels), 200)]
np.savez(folder / side, boxes=boxes, labels=labels, crowd=np.asarray(crowd, bool), offsets=offsets, shapes=shapes)
print(json.dumps([seconds, memory]))
"""


def run(side: str, folder: Path) -> tuple[float, float]:
    """Load the file in a fresh process; return seconds and the resident bytes added."""
    command = [sys.executable, "-c", CODE, side, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def check_equal(folder: Path) -> None:
    """Compare every box, label and crowd flag, and every 200th shape, with pycocotools."""
    with np.load(folder / "ours.npz") as ours, np.load(folder / "theirs.npz") as theirs:
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        print(f"equal on both sides: {len(ours['labels']):,} objects of {len(ours['offsets']) - 1:,} images")


def main() -> int:
    """Generate the file, unless a folder that holds it is given; measure; print the verdicts."""
    setting()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        if not (folder / "instances.json").exists():
            write_instances(folder)
        print(f"{(folder / 'instances.json').stat().st_size / 1e6:.0f} MB of JSON")
        theirs, first, second = [], [], []
        for _ in range(ROUNDS):
            shutil.rmtree(folder / ".visiontasks", ignore_errors=True)
            theirs.append(run("theirs", folder))
            first.append(run("ours", folder))
            second.append(run("ours", folder))
        check_equal(folder)
    for name, figures in (("pycocotools.COCO", theirs), ("first parse", first), ("second start", second)):
        seconds = [run_seconds for run_seconds, _ in figures]
        spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
        memory = max(run_memory for _, run_memory in figures) / 1e6
        print(f"  {name:<20} {statistics.median(seconds):>7.2f} s {spread:<20} {memory:>8,.0f} MB")
    parse = statistics.median(own[0] / other[0] for own, other in zip(first, theirs, strict=True))
    start = statistics.median(run_seconds for run_seconds, _ in second)
    share = max(own[1] for own in second) / min(other[1] for other in theirs)
    met = [
        verdict("time of the first parse / pycocotools", parse, 1.0),
        verdict("seconds of the second start", start, 1.0),
        verdict("memory of the index, every page touched / pycocotools", share, 0.1),
    ]
    return 0 if all(met) else 1


def verdict(title: str, value: float, limit: float) -> bool:
    """Print a figure with its limit; return whether it is within the limit."""
    print(f"  {title}: {value:.3f}, target at most {limit}: {'met' if value <= limit else 'NOT MET'}")
    return value <= limit


if __name__ == "__main__":
    sys.exit(main())
