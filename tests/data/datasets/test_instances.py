"""Images with the masks of their objects, against detection and against masks that are moved one by one."""

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from torchvision.transforms import v2

from tests.data.datasets.image_files import Files
from tests.test_instance_masks import drawn
from visiontasks.data.augmentation.large_scale_jitter import LargeScaleJitter
from visiontasks.data.augmentation.presets import PRESETS
from visiontasks.data.augmentation.resizing import RandomScaledCrop, Resizing, Stretch, Whole, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.instances import InstanceDataset
from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.data.datasets.tasks import DetectionDataset
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler
from visiontasks.instance_masks import pack_masks
from visiontasks.types import InstanceBatch

MOVES = [A.HorizontalFlip(), A.Affine(rotate=(-40, 40), scale=(0.6, 1.4), p=1), A.RandomCrop(30, 36)]
OTHERS: dict[str, Any] = {
    "rotated": MOVES,
    "dropped out": [A.CoarseDropout(num_holes_range=(2, 4), hole_height_range=(5, 12), fill_mask=0, p=1)],
    "elastic": [A.ElasticTransform(alpha=60, sigma=6, p=1)],
    "torchvision": [v2.RandomHorizontalFlip(), v2.RandomAffine(25, (0.1, 0.2), (0.7, 1.2), fill=127)],
    "torchvision sanitized": [v2.RandomIoUCrop(), v2.RandomHorizontalFlip(), v2.SanitizeBoundingBoxes(min_size=6)],
}
RESIZINGS: dict[str, Resizing] = {
    "whole": Whole(),
    "within": Within(70, 100),
    "jitter": LargeScaleJitter(50, 80),
    "stretched": Stretch((33, 90)),
    "beyond": RandomScaledCrop((60, 60)),
}


class InstanceFiles(Files):
    """Pictures with up to nine shapes; the second object of each has no mask, the first is a crowd."""

    def __init__(self, folder: Path, count: int = 7) -> None:
        super().__init__(folder, count)
        self.dense: list[np.ndarray] = []
        for number, (height, width) in enumerate(self.sizes.tolist()):
            sample = ShapesDataset(1, image_size=(height, width), seed=number, min_objects=3, max_objects=9)[0]
            masks = sample.owners.numpy() == np.arange(1, len(sample.boxes) + 1)[:, None, None]
            masks[1] = False
            ignore = np.arange(len(masks)) == 0
            kind = type(self.found[number])
            self.found[number] = kind(sample.boxes.double().numpy(), sample.box_labels.numpy().astype(np.int32), ignore)
            self.dense.append(masks.astype(np.uint8))
        self.found[4] = type(self.found[4])(np.empty((0, 4)), np.empty(0, np.int32), np.empty(0, np.bool_))
        self.dense[4] = self.dense[4][:0]

    def packed_masks(self, image: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        assert self.dense[image].shape[1:] == size
        return pack_masks(self.dense[image])


@pytest.fixture
def files(tmp_path: Path) -> InstanceFiles:
    return InstanceFiles(tmp_path)


def masks_of(batch: InstanceBatch, image: int = 0) -> np.ndarray:
    """Draw the masks of one image."""
    height, width = batch.mask_sizes[image].tolist()
    return drawn(batch.mask_bits[image].numpy(), batch.mask_windows[image].numpy(), (height, width))


def pipeline(name: str) -> Augmentation:
    return Augmentation.create("instances", name if name in PRESETS["instances"] else OTHERS[name])


@pytest.mark.parametrize(
    ("name", "resizing"),
    [*((name, "jitter") for name in (*PRESETS["instances"], *OTHERS)), *(("rotated", name) for name in RESIZINGS)],
)
def test_masks_are_moved_as_a_mask_of_classes_is_and_all_else_as_in_detection(
    name: str, resizing: str, files: InstanceFiles
) -> None:
    options: Any = {"augmentation": pipeline(name), "resizing": RESIZINGS[resizing], "seed": 3}
    dataset, detection = InstanceDataset(files, **options), DetectionDataset(files, **options)
    # What drops boxes draws no random numbers, and takes a mask for each of them.
    steps = [step for step in OTHERS.get(name, ()) if not isinstance(step, v2.SanitizeBoundingBoxes)]
    alone = InstanceDataset(files, **options | ({"augmentation": Augmentation(steps)} if steps else {}))
    lost = 0
    for epoch in range(2):
        for index in (0, 1, 4, 5):
            batch = dataset[BatchRequest([index], epoch)]
            plain = detection[BatchRequest([index], epoch)]
            for field, expected in plain._asdict().items():
                assert torch.equal(getattr(batch, field), expected), field
            boxes = files.objects(index).boxes
            view = dataset.view(index, epoch, boxes)
            shown = masks_of(batch)
            assert batch.mask_sizes.tolist() == batch.sizes.tolist()
            assert len(shown) == len(view.kept)
            lost += len(boxes) - len(view.kept)
            for mask, kept in zip(shown, view.kept.tolist(), strict=True):
                # The mask of one object as if it were the class of each pixel.
                moved = alone.view(index, epoch, boxes, files.dense[index][kept]).mask
                assert moved is not None
                np.testing.assert_array_equal(mask, moved == 1)
    assert lost or name not in ("rotated", "torchvision sanitized")


@pytest.mark.parametrize("name", ["none", "light", "default", "multiscale", "large-scale-jitter", "strong", "rotated"])
def test_boxes_contain_their_masks(name: str, files: InstanceFiles) -> None:
    dataset = InstanceDataset(files, augmentation=pipeline(name), resizing=Within(70, 100))
    found = 0
    for epoch in range(6):
        for index in range(len(files)):
            batch = dataset[BatchRequest([index], epoch)]
            for box, window in zip(batch.boxes[0], batch.mask_windows[0], strict=True):
                if window.any():
                    # A nearest pixel may lie half a pixel, enlarged, beyond the edge.
                    assert (window[:2] >= box[:2] - 2).all()
                    assert (window[2:] <= box[2:] + 2).all()
                    found += 1
    assert found > 50


def test_an_object_without_a_mask_stays_with_its_box_and_an_empty_window(files: InstanceFiles) -> None:
    for augmentation in (None, pipeline("light")):
        batch = InstanceDataset(files, augmentation=augmentation)[BatchRequest([0], 0)]
        assert batch.mask_windows[0, 1].tolist() == [0, 0, 0, 0]
        assert (batch.boxes[0, 1, 2:] > batch.boxes[0, 1, :2]).all()
        assert batch.mask_windows[0, [0, 2]].any(1).all()


def test_an_object_outside_of_a_crop_goes_with_its_mask(files: InstanceFiles) -> None:
    dataset = InstanceDataset(files, augmentation=Augmentation([A.Crop(0, 0, 20, 20)]))
    for index in range(len(files)):
        batch = dataset[BatchRequest([index], 0)]
        boxes = files.objects(index).boxes
        inside = np.clip(boxes, 0, 20)
        share = (inside[:, 2:] - inside[:, :2]).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
        expected = files.dense[index][share >= 0.1][:, :20, :20]
        np.testing.assert_array_equal(masks_of(batch), expected)
        assert batch.boxes.shape[1] == len(expected)


@pytest.mark.parametrize("resizing", [Within(70, 100), Stretch((30, 90)), Whole()], ids=str)
def test_in_evaluation_masks_are_those_of_the_original_image(resizing: Resizing, files: InstanceFiles) -> None:
    batch = InstanceDataset(files, resizing=resizing, multiple=32)[BatchRequest([0, 1, 4, 5], 0)]
    assert batch.mask_sizes.tolist() == files.sizes[[0, 1, 4, 5]].tolist()
    for place, index in enumerate((0, 1, 4, 5)):
        masks = masks_of(batch, place)
        count = len(files.dense[index])
        np.testing.assert_array_equal(masks[:count], files.dense[index])
        assert not masks[count:].any()
        assert (batch.labels[place] >= 0).sum() == count


def test_batches_are_the_same_for_any_number_of_workers(files: InstanceFiles) -> None:
    augmentation = Augmentation.create("instances", "large-scale-jitter+copy-paste")
    batches = []
    for workers in (0, 2):
        dataset = InstanceDataset(files, augmentation=augmentation, resizing=LargeScaleJitter(50, 80), seed=5)
        batches.append(list(BatchLoader(dataset, EvaluationSampler(dataset, 2), workers)))
    for one, other in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_is_pasted_is_exactly_the_mask_of_the_other_image(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path)
    for number, (height, width) in enumerate(files.sizes.tolist()):
        rows, columns = np.mgrid[:height, :width]
        coordinates = np.stack([rows, columns, np.full_like(rows, number)], 2).astype(np.uint8)
        Image.fromarray(coordinates).save(files.file(number))
        files.found[number] = files.found[number]._replace(
            labels=(10 * number + np.arange(len(files.found[number].labels))).astype(np.int32)
        )
    dataset = InstanceDataset(files, augmentation=Augmentation.create("instances", "none+copy-paste"), seed=5)
    changed = 0
    for epoch in range(20):
        for index in range(len(files)):
            batch = dataset[BatchRequest([index], epoch)]
            source = batch.images[0, 2].numpy()
            labels = batch.labels[0].tolist()
            masks = masks_of(batch)
            # Each mask is where its object is in its own image, as far as pixels of that image are seen.
            height, width = source.shape
            pasted = np.zeros((height, width), bool)
            for mask, label in zip(masks, labels, strict=True):
                whole = np.zeros((70, 70), np.uint8)
                dense = files.dense[label // 10][label % 10]
                whole[: dense.shape[0], : dense.shape[1]] = dense
                whole = whole[:height, :width]
                np.testing.assert_array_equal(mask, whole & (source == label // 10))
                if label // 10 != index:
                    assert label % 10 not in (0, 1), "neither crowds nor objects without a mask are pasted"
                    pasted |= mask != 0
            if {label // 10 for label in labels} - {index}:
                changed += 1
            np.testing.assert_array_equal(source != index, pasted)
    assert changed > 30


def test_masks_of_real_annotations_are_those_of_pycocotools(data_root: Path) -> None:
    """The COCO sample: polygons, several parts, crowds as run lengths, images without objects."""
    file = data_root / "coco" / "annotations" / "instances_val2017.json"
    index = CocoFile(file, data_root / "coco" / "val2017").parse().index
    dataset, coco, crowds = InstanceDataset(index, resizing=Within(300, 500)), COCO(file), 0
    for image in range(len(index)):
        batch = dataset[BatchRequest([image], 0)]
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[index.image_id(image)]))
        assert batch.areas[0].tolist() == pytest.approx([entry["area"] for entry in entries])
        assert batch.ignore[0].tolist() == [bool(entry["iscrowd"]) for entry in entries]
        crowds += int(batch.ignore.sum())
        for mask, entry in zip(masks_of(batch), entries, strict=True):
            np.testing.assert_array_equal(mask, coco.annToMask(entry))
    assert crowds == 21
