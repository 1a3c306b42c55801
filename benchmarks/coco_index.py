"""A COCO-sized annotation file: the packed index against pycocotools.COCO, each in fresh processes.

The file is generated: 118,000 images and 860,000 objects with polygons as long as COCO's (43 numbers on average), some
in several parts, and crowds as run lengths. No image file is made, so that both sides read annotations only.

Command: python benchmarks/coco_index.py
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import setting

IMAGES, OBJECTS, CLASSES = 118_000, 860_000, 80
ROUNDS = 3
SIDES = {"pycocotools": "theirs", "first parse": "parse", "second start": "cached"}


def write_instances(file: Path, images: int = IMAGES, objects: int = OBJECTS) -> None:
    """Write an instances file with the distribution of sizes of COCO's."""
    rng = np.random.default_rng(0)
    categories = [{"id": 1 + i + i // 9, "name": f"class {i}", "supercategory": "thing"} for i in range(CLASSES)]
    image_of = rng.integers(0, images, objects)
    points = np.clip(rng.lognormal(2.8, 0.65, objects), 4, 300).astype(int)
    label = rng.integers(0, CLASSES, objects)
    with file.open("w") as out:
        out.write('{"info": {"year": 2017}, "licenses": [], "images": [')
        for i in range(images):
            name = f"{i:012d}.jpg"
            record = {"license": 3, "file_name": name, "coco_url": f"http://images.cocodataset.org/train2017/{name}"}
            record |= {"height": 480, "width": 640, "date_captured": "2013-11-14 16:28:13", "id": 3 * i}
            out.write(("," if i else "") + json.dumps(record))
        out.write('], "annotations": [')
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
            record |= {"category_id": int(categories[label[row]]["id"]), "id": row}  # type: ignore[call-overload]
            out.write(("," if row else "") + json.dumps(record))
        out.write(f'], "categories": {json.dumps(categories)}}}')


CODE = """
import gc, json, os, sys, time
from contextlib import redirect_stdout
from pathlib import Path
side, folder = sys.argv[1], Path(sys.argv[2])
file = folder / "instances.json"

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if side == "theirs":
    from pycocotools.coco import COCO
else:
    import visiontasks.data.index.cache as cache
    from visiontasks.data.index.coco import CocoFile
    cache.missing_files = lambda index, source: []
    import visiontasks.data.index.coco as coco
    coco.missing_files = cache.missing_files
before, start = resident(), time.perf_counter()
if side == "theirs":
    with redirect_stdout(sys.stderr):
        data = COCO(str(file))
else:
    data = cache.load_index(CocoFile(file, folder)).index
seconds = time.perf_counter() - start
loaded = resident() - before

import numpy as np
if side == "theirs":
    objects = [entry for image in data.dataset["images"] for entry in data.imgToAnns[image["id"]]]
    boxes = np.array([entry["bbox"] for entry in objects])
    boxes[:, 2:] += boxes[:, :2]
    order = sorted(data.getCatIds())
    labels = np.searchsorted(order, [entry["category_id"] for entry in objects])
    crowd = sum(entry["iscrowd"] for entry in objects)
    per_image = [len(data.imgToAnns[image["id"]]) for image in data.dataset["images"]]
    numbers = sum(len(part) for entry in objects if not entry["iscrowd"] for part in entry["segmentation"])
    total = sum(sum(part) for entry in objects[::100] if not entry["iscrowd"] for part in entry["segmentation"])
else:
    boxes, labels, crowd, per_image = data.boxes, data.labels, int(data.ignore.sum()), np.diff(data.offsets)
    numbers = int(data.segments.polygon_offsets[-1])
    total = sum(part.sum() for row in range(0, len(labels), 100) for part in data.segments.polygons(row))
    used = resident() - before
    for array in (data.segments.values, data.segments.runs.blob):
        array.sum()  # brings every page in
digest = [len(per_image), len(labels), np.bincount(labels).tolist(), int(crowd), numbers, round(float(total), 2)]
np.save(folder / f"{side}.npy", np.concatenate([boxes, np.asarray(labels)[:, None]], axis=1))
np.save(folder / f"{side}_images.npy", np.asarray(per_image))
touched = loaded if side == "theirs" else resident() - before
print(json.dumps({"seconds": seconds, "loaded": loaded, "touched": touched, "digest": digest}))
"""


def run(side: str, folder: Path) -> dict[str, Any]:
    """Load the file in a fresh process; return seconds, resident bytes added, and what was loaded."""
    command = [sys.executable, "-c", CODE, side, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
