"""Copy-paste, against images whose pixels say where they are from, looked at four times as finely."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.datasets.image_files import Files, Objects
from visiontasks.data.augmentation.copy_paste import choose, paste
from visiontasks.data.augmentation.presets import PASTED
from visiontasks.data.augmentation.resizing import Whole, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.proposals import ProposalDataset
from visiontasks.data.datasets.tasks import DetectionDataset
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError, UnreadableFileError

FINE = 4
"""Corners lie on quarters of a pixel, so that an image four times as large shows all boxes exactly."""


def coordinates(height: int, width: int, image: int) -> np.ndarray:
    """Draw an image each of whose pixels is its own row, its column, and the number of the image."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, image)], 2).astype(np.uint8)


def random_boxes(random: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    corners = random.integers(0, [width * FINE, height * FINE], (count, 2, 2))
    low, high = corners.min(1), corners.max(1) + 1
    return np.concatenate([low, high], 1) / FINE


def look(box: np.ndarray, shown: np.ndarray) -> tuple[list[float] | None, float]:
    """Find the box around what is shown of a box, and the fraction of its area, pixel by pixel of the fine image."""
    left, top, right, bottom = (box * FINE).astype(int)
    part = np.zeros_like(shown)
    part[top:bottom, left:right] = shown[top:bottom, left:right]
    rows, columns = np.nonzero(part)
    share = float(part.sum() / ((bottom - top) * (right - left)))
    if not len(rows):
        return None, 0.0
    return [value / FINE for value in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)], share


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("visible", [0.0, 0.1, 0.5])
def test_pixels_and_boxes_are_those_that_are_seen(seed: int, visible: float) -> None:
    random = np.random.default_rng(seed)
    (height, width), (other_height, other_width) = random.integers(12, 40, (2, 2)).tolist()
    pixels, other_pixels = coordinates(height, width, 1), coordinates(other_height, other_width, 2)
    boxes = random_boxes(random, int(random.integers(0, 6)), height, width)
    others = random_boxes(random, int(random.integers(0, 6)), other_height, other_width)
    chosen = choose(np.arange(len(others)), Random(seed))
    given = pixels.copy()
    pasted = paste(pixels, boxes, other_pixels, others, chosen, visible)
    assert np.array_equal(pixels, given)

    # Every pixel stays at its place, in whichever image, and is of the other image just where a chosen box touches it.
    rows, columns = np.mgrid[:height, :width]
    assert np.array_equal(pasted.pixels[:, :, 0], rows)
    assert np.array_equal(pasted.pixels[:, :, 1], columns)
    touched = np.zeros((height, width), bool)
    for left, top, right, bottom in others[chosen]:
        touched |= (columns + 1 > left) & (columns < right) & (rows + 1 > top) & (rows < bottom)
    touched[other_height:] = touched[:, other_width:] = False
    assert np.array_equal(pasted.pixels[:, :, 2], np.where(touched, 2, 1))

    # Boxes are around what is seen of them in the result.
    shown = np.kron(pasted.pixels[:, :, 2], np.ones((FINE, FINE), np.uint8))
    beyond = np.zeros((max(height, other_height) * FINE, max(width, other_width) * FINE), np.uint8)
    beyond[: height * FINE, : width * FINE] = shown
    expected, positions = [], []
    for image, candidates in ((1, boxes), (2, others)):
        seen = [look(box, beyond == image) for box in candidates]
        left_over = [index for index, (_, share) in enumerate(seen) if share > 0 and share >= visible]
        positions.append(left_over)
        expected += [seen[index][0] for index in left_over]
    assert pasted.boxes.tolist() == expected
    assert [pasted.kept.tolist(), pasted.added.tolist()] == positions


def test_any_number_of_objects_is_chosen_and_none_of_none() -> None:
    random = Random(0)
    chosen = [choose(np.array([2, 3, 5, 7]), random).tolist() for _ in range(400)]
    counts = np.bincount([len(indices) for indices in chosen])
    assert counts[0] == 0
    assert (counts[1:] > 70).all()
    assert all(indices == sorted(set(indices)) and {*indices} <= {2, 3, 5, 7} for indices in chosen)
    assert {index for indices in chosen for index in indices} == {2, 3, 5, 7}
    assert choose(np.empty(0, np.int64), random).tolist() == []


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write images whose pixels are their row, column and number; the labels of objects say of which image they are."""
    files = Files(tmp_path)
    random = np.random.default_rng(0)
    for number, (height, width) in enumerate(files.sizes.tolist()):
        Image.fromarray(coordinates(height, width, number)).save(files.file(number))
        boxes = random_boxes(random, 4, height, width).round()
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 2)
        boxes = boxes.clip(0, [width, height] * 2)
        # The last one is a crowd.
        files.found[number] = Objects(boxes, 4 * number + np.arange(4, dtype=np.int32), np.arange(4) == 3)
    return files


def detection(files: Files, name: str = "none+copy-paste", **options: Any) -> DetectionDataset:  # noqa: ANN401 (its own)
    return DetectionDataset(files, augmentation=Augmentation.create("detection", name), seed=5, **options)


def test_batches_have_the_objects_of_both_images(files: Files) -> None:
    dataset, plain, changed = detection(files, resizing=Whole()), DetectionDataset(files, resizing=Whole()), 0
    epochs = 40
    for epoch in range(epochs):
        for index in range(len(files)):
            batch = dataset[BatchRequest([index], epoch)]
            image = batch.images[0].permute(1, 2, 0).numpy()
            (other,) = np.setdiff1d(image[:, :, 2], [index]).tolist() or [None]
            assert batch.sizes[0].tolist() == files.sizes[index].tolist()
            if other is None:
                assert all(torch.equal(a, b) for a, b in zip(batch, plain[BatchRequest([index], epoch)], strict=True))
                continue
            changed += 1
            labels, ignore = batch.labels[0].numpy(), batch.ignore[0].numpy()
            assert {*(labels // 4)} <= {index, other}
            assert np.array_equal(ignore, labels % 4 == 3)
            # The whole region that is seen of the other image is that of its objects, none of which is a crowd.
            region = np.zeros(image.shape[:2], bool)
            for box in batch.boxes[0][torch.from_numpy((labels // 4 == other) & ~ignore)].int().tolist():
                region[box[1] : box[3], box[0] : box[2]] |= image[box[1] : box[3], box[0] : box[2], 2] == other
            assert np.array_equal(region, image[:, :, 2] == other)
            for box, label, area in zip(batch.boxes[0].numpy(), labels, batch.areas[0].tolist(), strict=True):
                source = files.objects(label // 4)
                around, share = look(source.boxes[label % 4], _enlarged(image[:, :, 2] == label // 4))
                assert box.tolist() == around
                assert share >= 0.1
                assert area == files.areas_of(label // 4)[label % 4]
    assert 0.35 < changed / (epochs * len(files)) <= PASTED + 0.1


def _enlarged(shown: np.ndarray) -> np.ndarray:
    whole = np.zeros((70, 70), bool)
    whole[: shown.shape[0], : shown.shape[1]] = shown
    return np.kron(whole, np.ones((FINE, FINE), bool))


def test_what_is_pasted_depends_on_seed_epoch_and_index_only(files: Files) -> None:
    dataset = detection(files, "large-scale-jitter+copy-paste", resizing=Within(50, 80))
    alone = {index: dataset[BatchRequest([index], 2)] for index in (4, 1, 6)}
    together = detection(files, "large-scale-jitter+copy-paste", resizing=Within(50, 80))[BatchRequest([1, 6, 4], 2)]
    for place, index in enumerate((1, 6, 4)):
        height, width = alone[index].images.shape[2:]
        assert torch.equal(together.images[place, :, :height, :width], alone[index].images[0])
        count = alone[index].labels.shape[1]
        assert torch.equal(together.boxes[place, :count], alone[index].boxes[0])
        assert torch.equal(together.labels[place, :count], alone[index].labels[0])


def test_nothing_is_pasted_of_a_file_that_cannot_be_read(files: Files) -> None:
    epochs = [BatchRequest([0], epoch) for epoch in range(80)]
    before = [detection(files)[request].images[0, 2] for request in epochs]
    assert any((numbers == 3).any() for numbers in before)
    files.file(3).write_bytes(b"nothing")
    dataset = detection(files, on_error="replace")
    for request, numbers in zip(epochs, before, strict=True):
        found = dataset[request].images[0, 2]
        assert torch.equal(found, torch.zeros_like(numbers) if (numbers == 3).any() else numbers)
    assert dataset.unreadable == []  # it is named when it is to be shown itself
    with pytest.raises(UnreadableFileError, match=r"3\.png"):
        [detection(files)[request] for request in epochs]


def test_an_only_image_is_pasted_into_itself(tmp_path: Path) -> None:
    files = Files(tmp_path, 1)
    assert {detection(files)[BatchRequest([0], epoch)].ids.item() for epoch in range(8)} == {0}


def test_proposals_are_refused(files: Files) -> None:
    proposals = ProposalFile.__new__(ProposalFile)  # refused before it is read
    with pytest.raises(ArgumentError, match="copy-paste adds objects of other images, for which there are no"):
        ProposalDataset(files, proposals=proposals, augmentation=Augmentation.create("detection", "copy-paste"))
