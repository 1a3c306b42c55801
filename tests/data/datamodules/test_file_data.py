"""What all data modules of files keep to, each with generated data of its form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.data.datamodules.image_sets import shapes, write_coco, write_folders, write_masks, write_table, write_voc
from visiontasks import COCODataModule, CSVDataModule, FolderDataModule, MaskFolderDataModule, VOCDataModule
from visiontasks.data.datasets.shapes import CLASS_NAMES
from visiontasks.data.lightning_modules import FileDataModule
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError
from visiontasks.testing import check_datamodule

Write = Callable[[Path], Path]
MASK_CLASSES = ("ground", "circle", "square", "triangle", "star")
CASES: list[tuple[type[FileDataModule], Write, dict[str, Any], str]] = [
    (FolderDataModule, write_folders, {"image_size": (32, 32)}, "classification"),
    (FolderDataModule, write_folders, {"task": "autoencoding", "image_size": (32, 24)}, "autoencoding"),
    (COCODataModule, write_coco, {"shorter": 32, "longer": 64}, "detection"),
    (COCODataModule, write_coco, {"task": "segmentation", "image_size": (32, 32)}, "segmentation"),
    (COCODataModule, write_coco, {"task": "instances", "shorter": 32, "longer": 64}, "instances"),
    (COCODataModule, write_coco, {"task": "classification", "image_size": (32, 32)}, "multilabel classification"),
    (COCODataModule, write_coco, {"task": "localization", "image_size": (32, 40)}, "localization"),
    (VOCDataModule, write_voc, {"shorter": 32, "longer": 64, "augmentation": "multiscale"}, "detection"),
    (VOCDataModule, write_voc, {"task": "localization", "image_size": (32, 32)}, "localization"),
    (MaskFolderDataModule, write_masks, {"class_names": MASK_CLASSES, "image_size": (32, 32)}, "segmentation"),
    (CSVDataModule, write_table, {"task": "detection", "shorter": 32, "longer": 64}, "detection"),
    (CSVDataModule, lambda root: write_table(root, boxes=False), {"image_size": (32, 32)}, "classification"),
]
IDS = [f"{owner.__name__}-{yields}" for owner, _, _, yields in CASES]


def make(owner: type[FileDataModule], root: Path, **options: Any) -> FileDataModule:  # noqa: ANN401 - its arguments
    return owner(root=root, **{"batch_size": 2, "num_workers": 0, **options})


@pytest.mark.parametrize(("owner", "write", "options", "yields"), CASES, ids=IDS)
def test_the_contract_is_kept(
    owner: type[FileDataModule], write: Write, options: dict[str, Any], yields: str, tmp_path: Path
) -> None:
    data = make(owner, write(tmp_path), **options)
    assert data.yields == yields
    check_datamodule(data)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize(
    ("owner", "write", "options", "yields"), [CASES[0], CASES[2], CASES[4], CASES[9]], ids=lambda value: ""
)
def test_any_number_of_workers_gives_the_same_batches(
    owner: type[FileDataModule], write: Write, options: dict[str, Any], yields: str, tmp_path: Path
) -> None:
    root = write(tmp_path)
    found: list[list[Tensor]] = []
    for workers in (0, 2, 4):
        data = make(owner, root, **{"augmentation": "strong", **options}, num_workers=workers, seed=3)
        data.setup("fit")
        loader = data.train_dataloader()
        found.append([field for batch in loader for field in batch])
        if workers == 0:
            loader.sampler.set_epoch(1)  # type: ignore[attr-defined]  # the samplers of VisionDataModule have it
            later = [field for batch in loader for field in batch]
            assert not torch.equal(torch.cat([f.flatten() for f in later if f.dtype == torch.uint8]), _bytes(found[0]))
    for fields in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], fields, strict=True))


def _bytes(fields: list[Tensor]) -> Tensor:
    return torch.cat([field.flatten() for field in fields if field.dtype == torch.uint8])


def test_two_processes_see_each_of_five_images_once(tmp_path: Path) -> None:
    data = make(COCODataModule, write_coco(tmp_path, count=5), shorter=32, longer=64, batch_size=3)
    data.setup("fit")
    seen = []
    for rank in range(2):
        sampler = EvaluationSampler(data.val_set, 3, num_replicas=2, rank=rank)
        batches = [data.val_set[request] for request in sampler]
        assert len(batches) == 1
        seen += batches[0].ids.tolist()
    assert seen == list(range(5))


def test_annotations_of_every_form_are_those_that_were_written(tmp_path: Path) -> None:
    written = shapes(12)
    (tmp_path / "voc").mkdir()
    coco = make(COCODataModule, write_coco(tmp_path / "coco"))
    voc = make(VOCDataModule, write_voc(tmp_path / "voc"), fractions=(0.5, 0.25, 0.25))
    assert coco.class_names == CLASS_NAMES
    for data, splits in ((coco, ("train",)), (voc, ("train", "val", "test"))):
        for index in (data.splits[split].index for split in splits):
            for image in range(len(index)):
                shape = written[int(Path(index.files[image]).stem)]
                boxes, labels, _ = index.objects(image)
                assert boxes is not None
                assert np.array_equal(boxes, shape.boxes)
                assert [data.class_names[label] for label in labels] == [CLASS_NAMES[label] for label in shape.labels]
    assert [len(voc.splits[split].index) for split in ("train", "val", "test")] == [6, 3, 3]


def test_the_test_split_is_dealt_only_when_validation_is(tmp_path: Path) -> None:
    data = make(COCODataModule, write_coco(tmp_path))
    assert [data.splits.origin(split) for split in ("train", "val", "test")] == ["own", "own", "val"]
    alone = make(COCODataModule, tmp_path, train="annotations/instances_train.json")
    assert [alone.splits.origin(split) for split in ("train", "val", "test")] == ["dealt"] * 3
    files = [set(alone.splits[split].index.files) for split in ("train", "val", "test")]
    assert sum(map(len, files)) == len(set().union(*files)) == 12


def test_lists_name_the_images_of_each_split(tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    lists = {"train": ["0", "1.png", "2"], "val": ["7", "3"]}
    for split, names in lists.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(names))
    data = make(VOCDataModule, root, lists={split: str(tmp_path / f"{split}.txt") for split in lists})
    assert list(data.splits["train"].index.files) == ["0.png", "1.png", "2.png"]
    assert list(data.splits["val"].index.files) == list(data.splits["test"].index.files) == ["7.png", "3.png"]
    with pytest.raises(ArgumentError, match=r"lists names files for \['dev'\]; expected some of train, val and test"):
        make(VOCDataModule, root, lists={"dev": "a.txt"})


@pytest.mark.parametrize("listed", [("train",), ("val",), ("test",), ("train", "test"), ("val", "test")])
def test_lists_may_name_some_of_the_splits(listed: tuple[str, ...], tmp_path: Path) -> None:
    root = write_voc(tmp_path)
    names = {"train": [*"01245"], "val": [*"37"], "test": [*"6"]}
    for split in listed:
        (tmp_path / f"{split}.txt").write_text("\n".join(names[split]))
    splits = make(VOCDataModule, root, lists={split: f"{split}.txt" for split in listed}).splits
    files = {split: {Path(name).stem for name in splits[split].index.files} for split in ("train", "val", "test")}
    everything = {Path(name).stem for name in splits.own("train").index.files}
    for split in listed:
        if split != "train" or "val" in listed:
            assert files[split] == set(names[split])
    if "test" not in listed:
        assert files["test"] == files["val"]
    assert not files["train"] & files["val"]
    assert files["val"]
    taken = set().union(*(names[split] for split in listed if split != "train"))
    assert files["train"] | files["val"] - taken == (set(names["train"]) if "train" in listed else everything - taken)
    if "val" not in listed:
        assert splits.origin("val") == splits.origin("train") == "dealt"


def test_folders_are_dealt_with_the_same_share_of_each_class(tmp_path: Path) -> None:
    root = write_folders(tmp_path, count=40, splits=("all",)) / "all"
    data = make(FolderDataModule, root, image_size=(16, 16), split_seed=1)
    assert [data.splits[split].index.counts().tolist() for split in ("train", "val", "test")] == [
        [8] * 4,
        [1] * 4,
        [1] * 4,
    ]
    other = make(FolderDataModule, root, image_size=(16, 16), split_seed=1, seed=5)
    assert list(other.splits["val"].index.files) == list(data.splits["val"].index.files)


def test_ignored_values_of_masks_become_255(tmp_path: Path) -> None:
    root = write_masks(tmp_path, background=11, listed=True)
    (root / "classes.txt").write_text("none\ncircle\nsquare\ntriangle\nstar\n")
    data = make(MaskFolderDataModule, root, ignore_index=11)
    data.setup("test")
    batch = data.test_set[BatchRequest([4], 0)]
    (height, width), expected = batch.sizes[0].tolist(), shapes(12, seed=2)[4].mask
    assert np.array_equal(batch.masks[0, :height, :width].numpy(), np.where(expected == 0, 255, expected))
    assert data.num_classes == 5


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_unreadable_files_stop_or_are_left_out_as_asked(task: str, tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    content = (root / "train" / "3.png").read_bytes()
    (root / "train" / "3.png").write_bytes(content[: len(content) // 2])
    options: dict[str, Any] = {"task": task, "image_size": (16, 16)}
    data = make(COCODataModule, root, **options)
    data.setup("fit")
    with pytest.raises(UnreadableFileError, match=r"train/3\.png' could not be read as an image"):
        list(data.train_dataloader())
    skipping = make(COCODataModule, root, on_error="skip", **options)
    skipping.setup("fit")
    assert sum(len(batch.images) for batch in skipping.train_dataloader()) == 12
    assert [path.name for path in skipping.train_set.unreadable] == ["3.png"]


def test_balanced_drawing_evens_out_the_classes(tmp_path: Path) -> None:
    root = write_folders(tmp_path, count=40)
    for file in sorted((root / "train" / "star").iterdir())[1:]:
        file.unlink()
    data = make(FolderDataModule, root, image_size=(16, 16), balanced=True, batch_size=30)
    data.setup("fit")
    loader = data.train_dataloader()
    drawn = []
    for epoch in range(20):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # as above
        drawn += [index for request in loader.sampler for index in request.indices]
    labels = data.splits["train"].index.labels[drawn]
    assert (np.bincount(labels) / len(labels)).tolist() == pytest.approx([0.25] * 4, abs=0.05)


MESSAGES: list[tuple[type[FileDataModule], dict[str, Any], str]] = [
    (FolderDataModule, {}, r"holds none of these layouts:\n  - train/CLASS/image\.jpg"),
    (FolderDataModule, {}, r"It holds: picture\.png\. A folder without classes is data for task='autoencoding'"),
    (
        COCODataModule,
        {},
        r"- annotations/instances_train\.json \(COCO, CVAT, Datumaro\)\n(.|\n)*: picture\.png\. Name the annotations",
    ),
    (COCODataModule, {"train": "x.json"}, r"train is 'x\.json', but there is no file"),
    (VOCDataModule, {}, r"- VOCdevkit/VOC2012/ \(or another year\)"),
    (VOCDataModule, {"year": "2012"}, r"- VOCdevkit/VOC2012/ImageSets\n"),
    (MaskFolderDataModule, {}, r"nothing says which classes they are\. Give class_names=\['background', \.\.\.\]"),
    (MaskFolderDataModule, {"class_names": ["a"]}, r"- train\.txt, val\.txt, test\.txt with an image and its mask"),
    (CSVDataModule, {}, r"- train\.csv \(Kaggle\)"),
]


@pytest.mark.parametrize(("owner", "options", "message"), MESSAGES)
def test_a_layout_that_is_not_found_is_described(
    owner: type[FileDataModule], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "picture.png").touch()
    with pytest.raises(DataError, match=message):
        _ = make(owner, tmp_path, **options).splits["train"]


def test_wrong_arguments_fail_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"unknown augmentation 'strng' for detection\. Did you mean 'strong'"):
        make(COCODataModule, tmp_path, augmentation="strng")
    with pytest.raises(ArgumentError, match=r"fractions is \[1, -1, 0\]; expected the shares of train, val and test"):
        make(COCODataModule, tmp_path, fractions=(1, -1, 0))
    with pytest.raises(DataError, match=r"nowhere' does not exist; expected a folder\. In "):
        _ = make(COCODataModule, tmp_path / "nowhere").class_names


@pytest.mark.parametrize(("owner", "write", "options", "yields"), CASES, ids=IDS)
def test_classes_are_counted_as_the_batches_have_them(
    owner: type[FileDataModule], write: Write, options: dict[str, Any], yields: str, tmp_path: Path
) -> None:
    data = make(owner, write(tmp_path / "data"), **options)
    if "classification" not in yields:
        pytest.skip("only classification weighs classes by their images")
    data.setup("fit")
    batch = data.train_set[BatchRequest(list(range(len(data.train_set))), epoch=0)]
    several = batch.labels.ndim == 2
    expected = batch.labels.sum(0) if several else torch.bincount(batch.labels, minlength=data.num_classes)
    counts = data.class_counts()
    assert counts.images == len(data.train_set)
    assert torch.equal(counts.with_class, expected)


def test_a_bank_shows_whole_images_as_validation_does(tmp_path: Path) -> None:
    data = make(FolderDataModule, write_folders(tmp_path), image_size=(32, 32), augmentation="strong")
    data.setup("fit")
    plain = [data.dataset("train")[BatchRequest([index], 0)].images for index in range(len(data.train_set))]
    bank = torch.cat([batch.images for batch in data.unaugmented_dataloader()])
    assert torch.equal(bank, torch.cat(plain))
    augmented = data.train_set[BatchRequest(list(range(len(data.train_set))), 0)].images
    assert not torch.equal(bank, augmented)


def test_a_bank_takes_the_decoded_images_of_training(tmp_path: Path) -> None:
    data = make(FolderDataModule, write_folders(tmp_path), image_size=(32, 32), cache=True, num_workers=0)
    data.setup("fit")
    first = torch.cat([batch.images for batch in data.unaugmented_dataloader()])
    assert data.train_set.cache is not None
    assert data.train_set.cache.filled.all()
    for image in range(len(data.train_set)):
        data.train_set.index.file(image).unlink()
    assert torch.equal(torch.cat([batch.images for batch in data.unaugmented_dataloader()]), first)


def test_masks_are_made_where_a_json_does_not_say_the_sizes(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    stated = make(COCODataModule, root, task="segmentation")
    stated.setup("fit")
    expected = [batch.masks for batch in stated.val_dataloader()]
    for file in (root / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["images"] = [{name: entry[name] for name in ("id", "file_name")} for entry in content["images"]]
        file.write_text(json.dumps(content))
    silent = make(COCODataModule, root, task="segmentation")
    silent.setup("fit")
    assert not silent.train_set.index.sizes.any()
    assert all(torch.equal(a, b.masks) for a, b in zip(expected, silent.val_dataloader(), strict=True))


def test_balance_without_classes_is_an_error(tmp_path: Path) -> None:
    data = make(MaskFolderDataModule, write_masks(tmp_path), class_names=["ground", *CLASS_NAMES], balanced=True)
    data.setup("fit")
    with pytest.raises(ArgumentError, match="balanced draws images by the classes of their objects"):
        data.train_dataloader()
