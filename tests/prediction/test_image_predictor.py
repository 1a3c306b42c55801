"""Images reach the network in files as in validation, and its decisions are those of the task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor

from tests.data.datamodules.image_sets import write_coco, write_folders
from tests.prediction.small_tasks import NAMES, SMALL, TASKS, save_task
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    FolderDataModule,
    LocalizationTask,
    SegmentationTask,
    Task,
)
from visiontasks.cli import main
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.reading import read_image
from visiontasks.errors import ArgumentError
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.types import SegmentationPredictions

DEEP: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}}
CASES: dict[str, tuple[Callable[[], Task], str, dict[str, Any]]] = {
    "classification": (
        lambda: ClassificationTask(4, mode="multilabel", **DEEP),
        "classification",
        {"image_size": (24, 32)},
    ),
    "localization": (lambda: LocalizationTask(4, **DEEP), "localization", {"image_size": (24, 32)}),
    "detection, resized": (
        lambda: DetectionTask(4, fpn_width=8, head_width=8, **DEEP),
        "detection",
        {"shorter": 40, "longer": 50},
    ),
    "detection, square": (
        lambda: DetectionTask(4, fpn_width=8, head_width=8, **DEEP),
        "detection",
        {"image_size": (48, 48)},
    ),
    "segmentation": (lambda: SegmentationTask(5, **DEEP), "segmentation", {}),
    "autoencoding": (
        lambda: AutoencodingTask(4, image_size=(24, 32), bank_size=0, **DEEP),
        "autoencoding",
        {"image_size": (24, 32)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_files_are_seen_as_in_the_validation_of_the_training(
    case: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    make, kind, options = CASES[case]
    # Batches of one, so that segmentation has no padding.
    options = {"task": kind, "batch_size": 4, "eval_batch_size": 1, "num_workers": 0, **options}
    if kind == "autoencoding":
        data: Any = FolderDataModule(write_folders(tmp_path / "data", 4), **options)
    else:
        data = COCODataModule(write_coco(tmp_path / "data", 4), **options)
    trainer = make_trainer(max_steps=1)
    trainer.fit(make(), datamodule=data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    task_class = type(trainer.lightning_module)
    task: Any = task_class.load_from_checkpoint(tmp_path / "task.ckpt")
    predictor, inputs = create_predictor(task, device="cpu"), list[tuple[Any, ...]]()
    task.register_forward_pre_hook(lambda module, given: inputs.append(given))
    files = [data.val_set.index.file(image) for image in range(len(data.val_set))]
    assert len({read_image(file).shape for file in files}) == 3
    predictions = list(predict_images(predictor, files, batch_size=1))
    assert all(prediction.error is None for prediction in predictions)
    seen = inputs.copy()
    assert len(seen) == len(files)
    for given, batch in zip(seen, data.val_dataloader(), strict=True):
        for ours, theirs in zip(given, task.inputs(batch), strict=True):
            assert torch.equal(ours, theirs)


class Turned(SegmentationTask):
    """Says the last class wherever the image is dark, in one of the places where a subclass can say so."""

    def decide(self, probabilities: Tensor) -> SegmentationPredictions:
        decided = super().decide(probabilities)
        return decided._replace(labels=2 - decided.labels)


class Predicting(SegmentationTask):
    def predict(self, outputs: Any) -> SegmentationPredictions:  # noqa: ANN401 - as the base
        decided = super().predict(outputs)
        return decided._replace(labels=2 - decided.labels)


class Forwarding(SegmentationTask):
    def eval_forward(self, images: Tensor) -> Any:  # type: ignore[override]  # noqa: ANN401 - without options
        return super().eval_forward(images).flip(1)  # type: ignore[union-attr]  # a tensor


@pytest.mark.parametrize("words", [[], ["--window", "16", "16"]])
@pytest.mark.parametrize("changed", [Turned, Predicting, Forwarding])
def test_what_a_subclass_decides_is_in_its_files(
    changed: type[SegmentationTask], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain: Any = TASKS["segmentation"]()
    task = changed(3, NAMES, backbone_options=SMALL)
    Image.effect_noise((40, 24), 90).convert("RGB").save("a.png")
    # Every class occurs.
    *_, bias = (value for value in plain.decoder.parameters() if value.shape == (3,))
    with torch.no_grad():
        bias.sub_(plain.eval()(read_image("a.png")[None]).mean((0, 2, 3)))
    task.load_state_dict(plain.state_dict())
    masks = []
    for one in (plain, task):
        save_task(one, Path("x.ckpt"))
        named = ["--task", f"{__name__}.{type(one).__name__}"] if one is task else []
        assert main(["predict", "x.ckpt", "a.png", "-o", "out", "--device", "cpu", *words, *named]) == 0
        masks.append(read_mask(Path("out/a.png")))
    assert (masks[0] == 2 - masks[1]).all()
    assert set(masks[0].flat) == {0, 1, 2}


def test_an_option_that_an_override_does_not_take_is_named() -> None:
    task = Forwarding(3, backbone_options=SMALL)
    with pytest.raises(ArgumentError, match=r"flips is given, but Forwarding\.eval_forward does not take it"):
        create_predictor(task, flips="both")
    with pytest.raises(ArgumentError, match=r"score is given, but Strict\.predict does not take it"):
        create_predictor(Strict(2, image_size=(32, 32), fpn_width=8, head_width=8, **DEEP), score=0.5)


class Strict(DetectionTask):
    def predict(self, outputs: Any) -> Any:  # type: ignore[override]  # noqa: ANN401 - without options
        return super().predict(outputs)


def test_images_of_their_own_sizes_are_computed_with_others_of_the_same() -> None:
    task = AutoencodingTask(5, "map", backbone_options=SMALL)
    counts: list[tuple[int, ...]] = []
    task.register_forward_pre_hook(lambda module, given: counts.append(tuple(given[0].shape)))
    images = [torch.zeros(3, *size, dtype=torch.uint8) for size in [(16, 20)] * 3 + [(20, 16)]]
    predictor = create_predictor(task, device="cpu")
    assert predictor.batch_size == 1
    list(predict_images(predictor, images, batch_size=4))
    assert counts == [(3, 3, 16, 20), (1, 3, 20, 16)]


@pytest.mark.parametrize("layers", [0, 3])
def test_a_mask_has_the_size_of_its_file(layers: int) -> None:
    mode: Any = "multilabel" if layers else "multiclass"
    task = SegmentationTask(3, mode=mode, backbone_options=SMALL)
    image = torch.randint(256, (3, 32, 48), dtype=torch.uint8)
    # Every class occurs.
    *_, bias = (value for value in task.decoder.parameters() if value.shape == (3,))
    with torch.no_grad():
        bias.sub_(task.eval()(image[None]).mean((0, 2, 3)))
    predictor = create_predictor(task, device="cpu", image_size=(16, 24))
    (whole,) = predict_images(predictor, image)
    assert whole.mask is not None
    assert whole.mask.shape == ((3, 32, 48) if layers else (32, 48))
    small = predictor.prepare(image.permute(1, 2, 0).numpy(), 0).prepared.images
    assert small.shape == (3, 16, 24)
    (half,) = predict_images(create_predictor(task, device="cpu"), small)
    assert half.mask is not None
    assert torch.equal(whole.mask[..., ::2, ::2], half.mask)
    assert torch.equal(whole.mask[..., 1::2, 1::2], half.mask)
    assert len(half.labels) == 3
    (parts,) = predict_images(create_predictor(task, device="cpu", image_size=(16, 24), window=(16, 16)), image)
    assert parts.mask is not None
    assert parts.mask.shape == whole.mask.shape
    shares = [(whole.layer(label) == 1).float().mean().item() for label in whole.labels]
    assert whole.scores == pytest.approx(shares)
