"""Presets by name and what is added to them: what they consist of, where they make sense, and what is drawn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from tests.data.datamodules.image_sets import write_coco, write_folders
from tests.data.datasets.image_files import Files
from visiontasks import COCODataModule, FolderDataModule, ShapesDataModule
from visiontasks.data.augmentation.class_aware_crop import ClassAwareCrop
from visiontasks.data.augmentation.large_scale_jitter import LargeScaleJitter
from visiontasks.data.augmentation.presets import ADDITIONS, PRESETS, VIEW_STEPS, Preset, get_preset
from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Resizing, Stretch, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datamodules.file_tasks import FILE_TASKS, Sizes
from visiontasks.data.datasets.file_dataset import sample_seed
from visiontasks.data.datasets.tasks import ClassificationDataset
from visiontasks.data.loading.ordering import repeat_factors
from visiontasks.data.loading.samplers import BatchRequest, TrainingSampler
from visiontasks.errors import ArgumentError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.mark.parametrize("name", ["trivial", "randaugment"])
def test_the_image_as_the_network_sees_it_goes_through_torchvision(name: str, tmp_path: Path) -> None:
    files = Files(tmp_path)
    resizing = RandomResizedCrop((32, 40))
    dataset = ClassificationDataset(
        files, resizing=resizing, augmentation=Augmentation.create("classification", name), seed=3
    )
    plain = ClassificationDataset(
        files, resizing=resizing, augmentation=Augmentation.create("classification", "light"), seed=3
    )
    kind: Any = {"trivial": v2.TrivialAugmentWide, "randaugment": v2.RandAugment}[name]
    changed = 0
    for epoch in range(8):
        for index in range(len(files)):
            view = plain[BatchRequest([index], epoch)].images[0]  # flipped, cropped and resized
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(sample_seed(3, epoch, index) ^ 1)
                expected = kind(interpolation=v2.InterpolationMode.BILINEAR)(view)
            found = dataset[BatchRequest([index], epoch)].images[0]
            assert torch.equal(found, expected)
            changed += not torch.equal(found, view)
    assert changed > 30


def test_a_quarter_of_the_images_lose_a_rectangle_whether_they_are_flipped_or_not() -> None:
    image = np.random.default_rng(0).integers(0, 128, (50, 50, 3), np.uint8)  # what is erased is noise up to 255
    erase = Augmentation.create("classification", "light+erasing")
    table = np.zeros((2, 2), int)
    shares, ratios = [], []
    for seed in range(2000):
        flipped = erase(image, seed).pixels
        pixels = erase.of_view(flipped, seed)
        different = (pixels != flipped).any(2)
        table[int(not np.array_equal(flipped, image)), int(different.any())] += 1
        if different.any():
            rows, columns = np.flatnonzero(different.any(1)), np.flatnonzero(different.any(0))
            height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
            assert different.sum() >= 0.98 * height * width  # nothing but the rectangle, but for what is drawn alike
            shares.append(height * width / different.size)
            ratios.append(width / height)
    assert np.abs(table / 2000 - [[0.375, 0.125], [0.375, 0.125]]).max() < 0.035
    assert 0.01 < min(shares) < 0.04
    assert 0.25 < max(shares) < 0.35
    assert min(ratios) > 0.25
    assert max(ratios) < 4
    assert len({erase.of_view(image, seed).tobytes() for seed in range(40)}) > 5


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("classification", "erasing", Preset("default", ("erasing",))),
        ("classification", "trivial+erasing", Preset("trivial", ("erasing",))),
        ("classification", "erasing+trivial", Preset("trivial", ("erasing",))),
        ("detection", "copy-paste", Preset("default", ("copy-paste",))),
        ("detection", "large-scale-jitter+copy-paste", Preset("large-scale-jitter", ("copy-paste",))),
        ("segmentation", "strong+class-aware", Preset("strong", ("class-aware",))),
    ],
)
def test_an_addition_alone_is_added_to_the_default(task: str, name: str, expected: Preset) -> None:
    assert get_preset(task, name) == expected


ONE_TASK = [
    *(("classification", name) for name in VIEW_STEPS),
    *(("detection", name) for name in ("large-scale-jitter", "copy-paste")),
    ("segmentation", "class-aware"),
]


@pytest.mark.parametrize(("home", "name"), ONE_TASK)
def test_on_tasks_where_it_makes_no_sense_it_is_refused_by_name(home: str, name: str) -> None:
    get_preset(home, name)
    homes = [task for task in PRESETS if task == home or {task, home} == {"detection", "instances"}]
    for task in set(PRESETS) - {*homes}:
        for given in (name, f"strong+{name}"):
            message = f"unknown augmentation '{name}' for {task}. It is one of {', '.join(homes)}. Known: "
            with pytest.raises(ArgumentError) as caught:
                Augmentation.create(task, given)
            assert str(caught.value).startswith(message)


def test_presets_are_not_mixed_and_nothing_is_added_twice() -> None:
    for name in ("trivial+strong", "erasing+erasing", "trivial+erasing+erasing"):
        with pytest.raises(ArgumentError) as caught:
            get_preset("classification", name)
        expected = f"augmentation is '{name}'; expected one preset, to which erasing can be added once."
        assert str(caught.value) == expected
    with pytest.raises(
        ArgumentError, match=r"unknown augmentation 'erasin' for classification\. Did you mean 'erasing'"
    ):
        get_preset("classification", "trivial+erasin")
    with pytest.raises(ArgumentError, match=r"unknown augmentation '' for classification"):
        get_preset("classification", "trivial+")


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("classification", "trivial", RandomResizedCrop((20, 30), area=(0.25, 1.0))),
        ("classification", "light+erasing", Stretch((20, 30))),
        ("multilabel classification", "trivial", Stretch((20, 30))),
        ("detection", "copy-paste", Within(40, 60)),
        ("detection", "multiscale+copy-paste", Within((24, 26, 27, 29, 30, 32, 34, 35, 37, 38, 40), 60)),
        ("detection", "large-scale-jitter", LargeScaleJitter(40, 60, (0.1, 2.0))),
        ("segmentation", "class-aware", ClassAwareCrop((20, 30), (0.5, 2.0), 0.75)),
        ("segmentation", "strong", RandomScaledCrop((20, 30), (0.5, 2.0))),
    ],
)
def test_what_decides_on_the_size_in_training(kind: str, name: str, expected: Resizing) -> None:
    found = FILE_TASKS[kind].training(Sizes((20, 30), 40, 60, (0.5, 2.0), 1.0, name))
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("name", ["large-scale-jitter", "multiscale", "large-scale-jitter+copy-paste"])
def test_images_stretched_to_one_size_are_not_jittered(name: str, tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path), image_size=16, augmentation=name, num_workers=0)
    with pytest.raises(ArgumentError, match=r"resizes images in their shape, image_size \(16, 16\) stretches them"):
        data.setup("fit")
    copied = COCODataModule(tmp_path, image_size=16, augmentation="copy-paste", num_workers=0)
    copied.setup("fit")
    assert copied.train_set.resizing == Stretch((16, 16))


@pytest.mark.parametrize(
    ("task", "name"), [("detection", "copy-paste"), ("detection", "multiscale"), ("segmentation", "light+class-aware")]
)
def test_images_in_memory_are_seen_whole(task: Any, name: str) -> None:  # noqa: ANN401 - a literal
    data = ShapesDataModule(task, train_size=4, val_size=2, test_size=2, augmentation=name)
    with pytest.raises(ArgumentError, match="is for images in files; generated ones and digits take"):
        data.setup("fit")


def test_colours_of_other_images_than_grey_and_rgb_ones_are_refused_at_the_first() -> None:
    for name in ("trivial", "randaugment"):
        change = Augmentation.create("classification", name)
        assert change.of_view(PIXELS[:, :, :1], 0).shape == (40, 60, 1)
        with pytest.raises(ArgumentError, match="which changes colours, and images have 4 channels; expected 1 or 3"):
            change.of_view(np.zeros((8, 8, 4), np.uint8), 0)
    erased = Augmentation.create("classification", "erasing")
    assert {erased.of_view(np.zeros((8, 8, 4), np.uint8), seed).shape for seed in range(9)} == {(8, 8, 4)}


@pytest.mark.parametrize("name", ["trivial+erasing", "randaugment"])
def test_data_describe_what_is_done_and_are_sent_to_workers(name: str, tmp_path: Path) -> None:
    batches = []
    for workers in (0, 2):
        data = FolderDataModule(write_folders(tmp_path), augmentation=name, image_size=16, num_workers=workers)
        data.setup("fit")
        batches.append([batch.images for batch in data.train_dataloader()])
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))
    described = json.dumps(data.transform.describe())
    assert {"trivial+erasing": "TrivialAugmentWide(", "randaugment": "RandAugment("}[name] in described
    assert ("Erasing(p=0.25" in described) == ("erasing" in name)


def test_crops_that_are_fitted_to_the_images_stay_class_aware(tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path), "segmentation", augmentation="class-aware", num_workers=0)
    data.setup("fit")
    assert data.train_set.resizing == ClassAwareCrop((32, 32), (0.5, 2.0), 0.75)


def test_every_addition_is_one_of_a_task() -> None:
    assert {name for names in ADDITIONS.values() for name in names} == {"erasing", "copy-paste", "class-aware"}
    assert set(ADDITIONS) <= set(PRESETS)


@pytest.mark.parametrize("epoch", [0, 3])
def test_two_processes_see_in_a_step_what_one_sees_and_a_resumed_epoch_goes_on(epoch: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"augmentation": "large-scale-jitter+copy-paste", "repeat_threshold": 0.9}
    data = COCODataModule(write_coco(tmp_path, count=12), shorter=40, longer=60, num_workers=0, **options)
    data.setup("fit")
    repeats = repeat_factors(data.splits["train"].index.labels, data.splits["train"].index.offsets, 0.9)

    def samples(batch_size: int, replicas: int, start: int = 0) -> list[tuple[Tensor, ...]]:
        """List the samples of all processes, without padding, step by step."""
        samplers = [
            TrainingSampler(data.train_set, batch_size, 1, True, replicas, rank, repeats=repeats)
            for rank in range(replicas)
        ]
        for sampler in samplers:
            sampler.set_epoch(epoch)
            sampler.start = start
        batches = [data.train_set[request] for step in zip(*samplers, strict=True) for request in step]
        return [
            (batch.ids[place], batch.images[place, :, :height, :width], *(each[place, :count] for each in objects))
            for batch in batches
            for place, (height, width) in enumerate(batch.sizes.tolist())
            for count, objects in ((int((batch.labels[place] >= 0).sum()), (batch.boxes, batch.labels)),)
        ]

    one, two, resumed = samples(4, 1), samples(2, 2), samples(2, 2, start=1)
    assert len(one) > 4
    for others in (two, [*one[:4], *resumed]):
        assert len(others) == len(one)
        for sample, other in zip(one, others, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(sample, other, strict=True))
