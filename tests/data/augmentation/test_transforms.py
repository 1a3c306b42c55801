"""Augmentation of images, boxes and masks together."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pytest
import yaml

from visiontasks.data.augmentation.color import color_matrix
from visiontasks.data.augmentation.color_transform import ColorMatrix
from visiontasks.data.augmentation.presets import PRESETS, detection_resizing
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.errors import ArgumentError

CASES = [(task, name) for task, presets in PRESETS.items() for name in presets]


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw four bright rectangles of different colour on black, with their boxes and a mask."""
    generator = np.random.default_rng(seed)
    image, mask = np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), np.uint8)
    boxes = []
    for number, (top, left) in enumerate([(5, 8), (5, 70), (50, 8), (50, 70)]):
        height, width = generator.integers(15, 35, 2).tolist()
        image[top : top + height, left : left + width] = 255 - 40 * number
        mask[top : top + height, left : left + width] = number + 1
        boxes.append([left, top, left + width, top + height])
    return image, np.array(boxes, np.float64), mask


@pytest.mark.parametrize(("task", "name"), CASES)
def test_boxes_and_masks_stay_on_their_objects(task: str, name: str) -> None:
    augmentation = Augmentation.create(task, name)
    for seed in range(12):
        image, boxes, mask = scene(seed)
        pixels, moved, kept, shown = augmentation(image, seed, boxes, mask)
        assert shown is not None
        assert pixels.shape == (*shown.shape, 3)
        assert pixels.dtype == shown.dtype == np.uint8
        assert set(np.unique(shown)) <= {0, 1, 2, 3, 4, 255}
        for box, index in zip(moved, kept, strict=True):
            rows, columns = (np.flatnonzero((shown == index + 1).any(axis)) for axis in (1, 0))
            edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            # A rotated box contains its object, and is the box of its corners: somewhat larger.
            slack = 9 if "Affine" in str(PRESETS[task][name]) else 1
            assert (edges[:2] >= box[:2] - 1).all()
            assert (edges[2:] <= box[2:] + 1).all()
            assert np.abs(edges - box).max() <= slack
            assert (box[:2] >= 0).all()
            assert (box[2:] <= (pixels.shape[1], pixels.shape[0])).all()


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_preset_is_the_same_for_a_seed_and_after_its_description(task: str, name: str) -> None:
    augmentation = Augmentation.create(task, name)
    described = yaml.safe_load(yaml.safe_dump(augmentation.describe()))
    described.pop("views", None)
    again = Augmentation.create(task, described)
    spawned = pickle.loads(pickle.dumps(augmentation))
    results = []
    for seed in range(10):
        image, boxes, mask = scene(0)
        first = augmentation(image, seed, boxes, mask)
        for other in (again, spawned, augmentation):
            for one, two in zip(first, other(image, seed, boxes, mask), strict=True):
                assert one is not None
                assert two is not None
                assert np.array_equal(one, two)
        results.append(first.pixels.tobytes())
    assert len(set(results)) > (0 if name == "none" else 1)


def test_two_transforms_of_equal_probability_are_independent() -> None:
    """Albumentations' own set_random_seed applies both or none."""
    augmentation = Augmentation([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 255
    places = {tuple(np.argwhere(augmentation(image, seed).pixels[:, :, 0])[0]) for seed in range(40)}
    assert len(places) == 4


def test_what_is_drawn_by_numpy_alone_follows_the_seed_as_well() -> None:
    augmentation = Augmentation([A.GaussNoise(std_range=(0.1, 0.1), mean_range=(0, 0), p=1)])
    image = np.full((16, 16, 3), 128, np.uint8)
    results = [augmentation(image, seed).pixels for seed in (0, 1, 0)]
    assert np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], results[1])


def test_a_crop_that_removes_all_boxes_leaves_none() -> None:
    image, boxes, _ = scene(0)
    result = Augmentation([A.Crop(0, 0, 5, 5)])(image, 0, boxes)
    assert result.boxes.shape == (0, 4)
    assert result.kept.shape == (0,)
    nothing = Augmentation([A.HorizontalFlip(p=1)])(image, 0, np.empty((0, 4)))
    assert nothing.boxes.shape == (0, 4)


def test_boxes_are_clipped_first_and_labels_follow() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    boxes = np.array([[-20, 0, 10, 50], [200, 0, 300, 10], [0, 0, 100.0000001, 50], [60, 10, 120, 30]])
    result = Augmentation([A.HorizontalFlip(p=1)])(image, 0, boxes)
    assert result.kept.tolist() == [0, 2, 3]
    np.testing.assert_allclose(result.boxes, [[90, 0, 100, 50], [0, 0, 100, 50], [0, 10, 40, 30]], atol=1e-4)


def test_little_of_a_box_is_not_kept() -> None:
    boxes = np.array([[0, 0, 40, 40], [38, 0, 78, 40.0]])
    image = np.zeros((40, 80, 3), np.uint8)
    assert Augmentation([A.Crop(0, 0, 40, 40)], visible=0.1)(image, 0, boxes).kept.tolist() == [0]
    assert Augmentation([A.Crop(0, 0, 40, 40)], visible=0)(image, 0, boxes).kept.tolist() == [0, 1]


def test_what_a_transform_uncovers_is_ignored() -> None:
    image, _, mask = scene(0)
    result = Augmentation([A.Affine(translate_px=30, p=1)])(image, 0, mask=mask)
    assert result.mask is not None
    assert (result.mask == 255).any()


def test_masks_are_never_interpolated() -> None:
    for transform in (A.Resize(8, 8, mask_interpolation=cv2.INTER_LINEAR), A.OneOf([A.Affine(mask_interpolation=2)])):
        with pytest.raises(ArgumentError, match=r"mask_interpolation=[12], which mixes classes"):
            Augmentation([transform])


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_other_channels_work(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    for task in ("classification", "detection"):
        augmentation = Augmentation.create(task, "default")
        shapes = {augmentation(image, seed).pixels.shape for seed in range(5)}
        assert shapes == {(20, 30, channels)}


@pytest.mark.filterwarnings("ignore:Using lambda is incompatible with multiprocessing")
def test_a_lambda_cannot_be_sent_to_workers_and_the_hint_says_what_to_do() -> None:
    augmentation = Augmentation([A.Lambda(image=lambda image, **_: image, name="own", p=1)])
    assert augmentation(np.zeros((4, 4, 3), np.uint8), 0).pixels.shape == (4, 4, 3)
    with pytest.raises(ArgumentError, match="functions of a module, not as lambdas"):
        pickle.dumps(augmentation)


def test_wrong_names_and_descriptions_are_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"unknown augmentation 'stron' for detection\. Did you mean 'strong'"):
        Augmentation.create("detection", "stron")
    with pytest.raises(
        ArgumentError, match=r"unknown augmentation 'multiscale' for segmentation\. It is one of detection, instances\."
    ):
        Augmentation.create("segmentation", "multiscale")
    with pytest.raises(ArgumentError, match="has 'views', which only presets have; give its name"):
        Augmentation.create("classification", Augmentation.create("classification", "erasing").describe())
    with pytest.raises(ArgumentError, match=r"unknown task 'detections'\. Did you mean 'detection'"):
        Augmentation.create("detections")
    with pytest.raises(ArgumentError, match=r"cannot be read: KeyError.*albumentations\.to_dict"):
        Augmentation.create("detection", {"transform": {"__class_fullname__": "NoSuch", "p": 1}})
    with pytest.raises(ArgumentError, match="brightness, contrast, saturation and hue are 2"):
        ColorMatrix(brightness=2)


def test_transforms_by_name_are_applied_in_their_order() -> None:
    by_name = Augmentation.create("localization", {"HorizontalFlip": {"p": 1.0}, "ColorMatrix": {"hue": 0.1}})
    steps = [type(step) for step in by_name.pipeline.transforms]
    assert steps == [A.HorizontalFlip, ColorMatrix]
    pixels, box = np.zeros((8, 10, 3), np.uint8), np.array([[0.0, 2.0, 3.0, 8.0]])
    np.testing.assert_allclose(by_name(pixels, 0, box).boxes, [[7.0, 2.0, 10.0, 8.0]], atol=1e-4)
    with pytest.raises(ArgumentError, match=r"no transform 'HorizontalFlop'\. Did you mean 'HorizontalFlip'"):
        Augmentation.create("localization", {"HorizontalFlop": {}})
    with pytest.raises(ArgumentError, match=r"HorizontalFlip does not take \{'q': 1\}"):
        Augmentation.create("localization", {"HorizontalFlip": {"q": 1}})


def test_multiscale_draws_the_shorter_side() -> None:
    assert detection_resizing("multiscale").shorter == tuple(range(480, 801, 32))
    assert detection_resizing("default", 600).shorter == 600


def test_importing_reaches_no_network() -> None:
    code = """
import socket
def refuse(*arguments):
    raise SystemExit("reached the network")
socket.socket.connect = socket.getaddrinfo = refuse
import visiontasks.data.augmentation.transforms
"""
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_colour_matrix_is_the_four_changes_one_after_another() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(60, 180, (8, 9, 3)).astype(np.uint8)
    pixels = image.astype(float)
    weights = np.array([0.299, 0.587, 0.114])
    expected = pixels * 1.1
    expected = 0.9 * expected + 0.1 * (expected @ weights).mean()
    expected = 1.2 * expected - 0.2 * (expected @ weights)[..., None]
    mean = pixels.mean((0, 1))
    changed = cv2.transform(image, color_matrix(1.1, 0.9, 1.2, 0, mean))
    np.testing.assert_allclose(changed, expected, atol=1)
    assert np.array_equal(cv2.transform(image, color_matrix(1, 1, 1, 0, mean)), image)
    turned = cv2.transform(image, color_matrix(1, 1, 1, 0.1, mean)).astype(float)
    np.testing.assert_allclose(turned @ weights, pixels @ weights, atol=1)  # hue keeps the luminance
    assert np.abs(turned - pixels).max() > 3
    # A full turn is none.
    assert np.array_equal(cv2.transform(image, color_matrix(1, 1, 1, 1, mean)), image)


def test_transforms_that_look_at_boxes_take_an_image_without_any() -> None:
    crop = Augmentation.create("detection", {"BBoxSafeRandomCrop": {"p": 1.0}})
    pixels, boxes, _ = scene(0)
    assert len(crop(pixels, 0, boxes).boxes) == len(boxes)
    assert crop(pixels, 0, boxes[:0]).boxes.shape == (0, 4)


def test_what_is_relied_on_of_albumentations() -> None:
    """Albumentations is archived: a release or a fork that changes one of these is noticed here."""
    steps = {json.dumps(step): step for task in PRESETS.values() for preset in task.values() for step in preset}
    for name, arguments in steps.values():
        if name == "ColorMatrix":  # of our own
            continue
        transform = getattr(A, name)(**arguments)  # warns, which is an error here, of an argument that it does not know
        assert set(arguments) - {"p"} <= set(transform.get_transform_init_args())
    pipeline = A.Compose([A.HorizontalFlip(p=0.5)], bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))
    image, boxes = np.arange(60, dtype=np.uint8).reshape(4, 5, 3), np.array([[0.0, 1.0, 2.0, 3.0]])
    flipped = []
    for seed in range(8):
        pipeline.set_random_seed(seed)
        found = pipeline(image=image, bboxes=boxes, labels=[7], mask=image[:, :, 0])
        flipped.append(bool((found["image"] != image).any()))
        turned = image[:, ::-1] if flipped[-1] else image
        assert np.array_equal(found["image"], turned)
        assert np.array_equal(found["mask"], turned[:, :, 0])
        assert np.allclose(found["bboxes"], [[3, 1, 5, 3]] if flipped[-1] else boxes)
        assert found["labels"] == [7]
    assert 0 < sum(flipped) < 8
    assert A.from_dict(A.to_dict(pipeline)).transforms[0].p == 0.5
