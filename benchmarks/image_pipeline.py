"""Training pipelines of detection and segmentation, from JPEG files to batches, against torchvision's reference.

Both sides decode, flip, change the colours of and resize 640 x 480 images; torchvision's decodes with Pillow and hands
over float32 images and int64 masks, as its reference scripts do. First
whole pipelines, one worker process each, then the hand-over alone by two.

Command: [VISIONTASKS_DATA=FOLDER] python benchmarks/image_pipeline.py
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from common import alternate, report, setting
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from visiontasks.data.augmentation.resizing import RandomScaledCrop, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.tasks import DetectionDataset, SegmentationDataset
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, TrainingSampler
from visiontasks.types import IGNORED, SegmentationBatch

HEIGHT, WIDTH, IMAGES, BATCH, OBJECTS = 480, 640, 64, 8, 8
SHORTER, LONGER, CROP, SCALE = 576, 1333, (480, 480), (0.5, 2.0)
COLOR = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02}


class Objects(NamedTuple):
    """Boxes, classes and flags of an image."""

    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray


class Files:
    """JPEG files with random boxes and mask files of as many rectangles."""

    def __init__(self, images: Sequence[Path], folder: Path) -> None:
        generator = np.random.default_rng(0)
        self.root, self.images = folder, images
        self.sizes = np.tile(np.array([HEIGHT, WIDTH]), (len(images), 1))
        self.class_names: tuple[str, ...] = ("background", *"abcdefghij")
        corners = generator.uniform(0, 0.6, (len(images), OBJECTS, 2))
        far = corners + generator.uniform(0.1, 0.4, corners.shape)
        self.boxes = np.concatenate((corners, far), 2) * np.array([WIDTH, HEIGHT] * 2)
        self.labels = generator.integers(1, 11, (len(images), OBJECTS)).astype(np.int32)
        self.masks = [f"{number}.png" for number in range(len(images))]
        for name, boxes, labels in zip(self.masks, self.boxes.astype(int), self.labels, strict=True):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
                mask[top:bottom, left:right] = label
            Image.fromarray(mask).save(folder / name)

    def __len__(self) -> int:
        return len(self.images)

    def areas_of(self, image: int) -> np.ndarray:
        """Return the area of each box."""
        boxes = self.boxes[image]
        return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))

    def file(self, image: int) -> Path:
        """Return the file of an image."""
        return self.images[image]

    def objects(self, image: int) -> Objects:
        """Return the objects of an image."""
        return Objects(self.boxes[image], self.labels[image], np.zeros(OBJECTS, np.bool_))

    def class_map(self, image: int, size: tuple[int, int]) -> np.ndarray:
        """Not used: there are mask files instead."""
        raise NotImplementedError


class Reference(Dataset[tuple[Any, ...]]):
    """What torchvision's reference scripts do to a sample (references/detection and segmentation, presets.py)."""

    def __init__(self, files: Files, masks: bool) -> None:
        self.files, self.masks = files, masks
        size: list[v2.Transform] = [v2.Resize(SHORTER, max_size=LONGER)]
        if masks:
            size = [v2.ScaleJitter(CROP, SCALE), v2.RandomCrop(CROP, pad_if_needed=True, fill=FILL)]
        steps = [v2.PILToTensor(), v2.RandomHorizontalFlip(0.5), *_jitter(), *size]
        self.transforms = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Make a sample."""
        image = Image.open(self.files.file(index)).convert("RGB")
        if self.masks:
            values = torch.from_numpy(np.array(Image.open(self.files.root / self.files.masks[index]))).long()
            pixels, mask = self.transforms(image, tv_tensors.Mask(values))
            return pixels, mask
        found = self.files.objects(index)
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(found.boxes).float(),
            format=tv_tensors.BoundingBoxFormat.XYXY,
            canvas_size=(HEIGHT, WIDTH),
        )
        target = {"boxes": boxes, "labels": torch.from_numpy(found.labels).long()}
        pixels, target = self.transforms(image, target)
        return pixels, target


FILL: dict[Any, int] = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORED}


def _jitter() -> list[v2.Transform]:
    return [v2.RandomApply([v2.ColorJitter(**COLOR)], p=0.8)]


def pack(samples: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Stack the images of a batch, and masks."""
    images, targets = zip(*samples, strict=True)
    return torch.stack(images), torch.stack(targets) if isinstance(targets[0], torch.Tensor) else targets


def make_images(folder: Path) -> list[Path]:
    """Take photographs of COCO of the size, or write textures of several scales as JPEG files of about 100 KB."""
    photographs = sorted((Path(os.environ.get("VISIONTASKS_DATA", "")) / "coco" / "train2017").glob("*.jpg"))
    found = [file for file in photographs if Image.open(file).size == (WIDTH, HEIGHT)]
    if not found:
        for number in range(IMAGES):
            generator = np.random.default_rng(number)
            canvas = generator.normal(0, 2, (HEIGHT, WIDTH, 3)).astype(np.float32)
            for level in range(1, 8):
                noise = generator.normal(size=(HEIGHT >> level | 1, WIDTH >> level | 1, 3)).astype(np.float32)
                canvas += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 2 ** (0.6 * level)
            pixels = np.clip((canvas - canvas.mean()) / canvas.std() * 55 + 120, 0, 255).astype(np.uint8)
            found.append(folder / f"{number}.jpg")
            Image.fromarray(pixels).save(found[-1], quality=93)
    found = list(itertools.islice(itertools.cycle(found), IMAGES))
    source = "COCO photographs" if photographs else "textures"
    print(f"{IMAGES} {source} of {sum(file.stat().st_size for file in found) / IMAGES / 1000:.0f} KB on average")
    return found


def images_per_second(batches: Iterable[Any]) -> float:
    """Take all batches and count images per second."""
    start, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch[0])
    return images / (time.perf_counter() - start)


class Ready(Dataset[Any]):
    """Hands the same batch over again and again."""

    def __init__(self, batch: Any, batches: int) -> None:
        self.batch, self.batches = batch, batches

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, request: Any) -> Any:
        """Copy the batch, as if it had just been made."""
        return type(self.batch)(*(field.clone() for field in self.batch))


class Pair(NamedTuple):
    """Images and masks as torchvision hands them over."""

    images: torch.Tensor
    masks: torch.Tensor


def compare_pipelines(files: Files) -> bool:
    """Compare the pipelines of both tasks on one core, shapes first."""
    met = True
    for task, kind, resizing in (
        ("detection", DetectionDataset, Within(SHORTER, LONGER)),
        ("segmentation", SegmentationDataset, RandomScaledCrop(CROP, SCALE)),
    ):
        ours = kind(files, resizing=resizing, augmentation=Augmentation.create(task), multiple=32)
        theirs = Reference(files, masks=task == "segmentation")
        request = BatchRequest(list(range(BATCH)), 0)
        own, other = ours[request], pack([theirs[index] for index in request.indices])
        assert own[0].shape == other[0].shape == (BATCH, 3, *own[0].shape[2:]), (own[0].shape, other[0].shape)
        assert own[0].dtype == torch.uint8
        assert other[0].dtype == torch.float32
        print(f"\n{task}: batches of {list(own[0].shape)}")
        loaders = {
            "visiontasks": BatchLoader(ours, TrainingSampler(ours, BATCH), 1),
            "torchvision v2, Pillow": DataLoader(
                theirs, BATCH, shuffle=True, collate_fn=pack, num_workers=1, persistent_workers=True
            ),
        }
        figures = alternate({name: partial(images_per_second, loader) for name, loader in loaders.items()})
        met &= report(f"{task} training, one worker and its hand-over", figures, *_names(figures), 4.5)
    return met


def _names(figures: dict[str, list[float]]) -> tuple[str, str]:
    ours, theirs = figures
    return ours, theirs


def compare_hand_over() -> bool:
    """Compare the hand-over of segmentation batches by two workers."""
    pixels = torch.randint(256, (BATCH, *CROP, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    masks = torch.randint(11, (BATCH, *CROP), dtype=torch.uint8)
    sizes, scale = torch.tensor([CROP] * BATCH), torch.ones(BATCH, 2)
    ours = SegmentationBatch(pixels, masks, sizes, scale, torch.arange(BATCH))
    theirs = Pair(pixels.float().contiguous() / 255, masks.long())
    sides: dict[str, Callable[[], float]] = {}
    for name, batch in (("uint8 images and masks", ours), ("float32 images, int64 masks", theirs)):
        loader: DataLoader[Any] = DataLoader(Ready(batch, 60), batch_size=None, num_workers=2, persistent_workers=True)
        sides[name] = partial(images_per_second, loader)
    figures = alternate(sides)
    return report("hand-over of a segmentation batch by 2 workers", figures, *_names(figures), 3)


def main() -> int:
    """Measure, compare shapes, print the verdicts."""
    setting()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("one thread on both sides, as in a worker")
    with tempfile.TemporaryDirectory() as folder:
        met = compare_pipelines(Files(make_images(Path(folder)), Path(folder)))
    return 0 if compare_hand_over() and met else 1


if __name__ == "__main__":
    sys.exit(main())
