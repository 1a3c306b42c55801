"""Predictions of images, held against the task applied by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from tests.prediction.small_tasks import SMALL, TASKS, write_pictures
from visiontasks import AutoencodingTask, ClassificationTask, DetectionTask, Task
from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.images.reading import read_image
from visiontasks.data.index.proposal_files import ProposalFile, image_names
from visiontasks.errors import ArgumentError
from visiontasks.prediction import Prediction, create_predictor, predict_images
from visiontasks.prediction.predicting import view_of

BAD = {"half.jpg", "text.jpg"}
WITHIN: dict[str, Any] = {"policy": "Within", "shorter": 64, "longer": 96, "multiple": 32}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_pictures(tmp_path / "pictures")


def by_hand(task: Any, file: Path) -> dict[str, Any]:  # noqa: ANN401 - a task of any kind
    """Read, resize and predict a file, without anything of the package that is tested."""
    image = read_image(file)
    height, width = image.shape[1:]
    if isinstance(task, DetectionTask):
        assert task.view is not None
        shorter, longer = task.view["shorter"], task.view["longer"]
        factor = min(shorter / min(height, width), longer / max(height, width))
        size = (round(height * factor), round(width * factor))
        inner = read_image(file, 3, size)
        padded = torch.zeros(1, 3, *(-(-side // 32) * 32 for side in size), dtype=torch.uint8)
        padded[0, :, : size[0], : size[1]] = inner
        found: Any = task.predict(task(padded, torch.tensor([size])))
        kept = found.labels[0] >= 0
        scale = torch.tensor([width / size[1], height / size[0]] * 2)
        boxes = found.boxes[0, kept] * scale
        result = {"labels": found.labels[0, kept], "scores": found.scores[0, kept], "boxes": boxes}
        if hasattr(found, "masks"):
            pasted = paste_masks_in_image(found.masks[0, kept][:, None], boxes, (height, width))
            result["masks"] = pasted[:, 0] >= 0.5
        return result
    if task.takes == "segmentation":
        return {"mask": task.predict(task(image[None])).labels[0]}
    found = task.predict(task(read_image(file, 3, task.image_size)[None]))
    if isinstance(task, AutoencodingTask):
        return {"code": found.codes[0], "reconstruction": found.images[0]}
    labels, scores = found.labels[0], found.scores[0]
    if labels.ndim:
        order = sorted(range(3), key=lambda label: -float(scores[label]))
        chosen = [label for label in order if labels[label]]
        return {"labels": torch.tensor(chosen), "scores": scores[chosen]}
    result = {"labels": labels[None], "scores": scores[None]}
    if task.takes == "localization":
        result["boxes"] = found.boxes * torch.tensor([width / 40, height / 20] * 2)
    return result


def compare(prediction: Prediction, expected: dict[str, Tensor], names: Sequence[str]) -> None:
    if "mask" in expected:
        assert prediction.mask is not None
        assert torch.equal(prediction.mask, expected["mask"])
        present = torch.unique(expected["mask"]).tolist()
        assert prediction.labels == tuple(present)
        shares = [(expected["mask"] == label).double().mean().item() for label in present]
        assert prediction.scores == pytest.approx(shares)
        return
    if "code" in expected:
        assert prediction.reconstruction is not None
        torch.testing.assert_close(torch.tensor(prediction.code), expected["code"])
        pixels = prediction.reconstruction.float() / 255
        torch.testing.assert_close(pixels, expected["reconstruction"], atol=1 / 255, rtol=0)
        return
    assert prediction.labels == tuple(expected["labels"].tolist())
    assert prediction.class_names == tuple(names[label] for label in prediction.labels)
    assert prediction.scores == pytest.approx(expected["scores"].tolist(), abs=1e-5)
    assert (prediction.instances is None) == ("masks" not in expected)
    for number, mask in enumerate(expected.get("masks", ())):
        (left, top, right, bottom), part = prediction.instance(number)
        pasted = torch.zeros_like(mask)
        pasted[top:bottom, left:right] = torch.from_numpy(part) == 1
        # Of batches and of single images, the network's values differ in their last digits.
        assert (pasted != mask).sum() <= 0.02 * mask.sum()
    assert (prediction.boxes is None) == ("boxes" not in expected)
    if prediction.boxes is not None:
        torch.testing.assert_close(torch.tensor(prediction.boxes), expected["boxes"], atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize("kind", TASKS)
def test_predictions_are_those_of_the_task_by_hand(kind: str, files: list[Path]) -> None:
    task: Any = TASKS[kind]()
    regions = kind in ("detection", "instances")
    if regions:
        task.view = WITHIN
    if kind == "segmentation":
        # Every class occurs.
        *_, bias = (value for value in task.decoder.parameters() if value.shape == (3,))
        bias.data.sub_(task.eval()(read_image(files[0])[None]).mean((0, 2, 3)))
    predictions = list(predict_images(task, files, batch_size=1 if regions else 3))
    assert [prediction.name for prediction in predictions] == files
    names = task.class_names or []
    with torch.no_grad():
        for prediction, file in zip(predictions, files, strict=True):
            if file.name in BAD:
                assert prediction == Prediction(file, error=prediction.error)
                assert file.name in str(prediction.error)
                continue
            assert prediction.size == read_image(file).shape[1:]
            compare(prediction, by_hand(task.eval(), file), names)
    assert sum(prediction.error is not None for prediction in predictions) == len(BAD)
    if kind == "segmentation":
        assert len({label for prediction in predictions for label in prediction.labels}) == 3


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_order_stays_whatever_the_batch_and_the_threads(batch_size: int, files: list[Path]) -> None:
    task = TASKS["multiclass"]()
    expected = list(predict_images(task, files, batch_size=2, threads=1))
    for threads in (1, 3):
        found = list(predict_images(task, files * 3, batch_size=batch_size, threads=threads))
        assert [one.name for one in found] == files * 3
        for one, other in zip(found, expected * 3, strict=True):
            assert one.labels == other.labels
            assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_arrays_and_tensors_are_predicted_as_their_files(files: list[Path]) -> None:
    task = TASKS["multiclass"]()
    with Image.open(files[0]) as image:
        array = np.array(image)
    with Image.open(next(file for file in files if file.name == "grey16.png")) as image:
        deep = np.array(image).astype(np.uint16)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    one, two, three, wrong = predict_images(task, [array, tensor, deep, np.zeros((4, 4, 7), np.uint8)])
    (file,) = predict_images(task, files[0])
    assert (one.name, two.name, three.name) == (0, 1, 2)
    assert one[1:] == two[1:]
    assert one.scores == pytest.approx(file.scores, abs=1e-6)
    assert one.size == file.size
    (file,) = predict_images(task, [next(file for file in files if file.name == "grey16.png")])
    assert three.scores == pytest.approx(file.scores, abs=1e-6)
    assert three.size == file.size
    assert "7 channels" in str(wrong.error)
    (alone,) = predict_images(task, array)
    assert alone.scores == pytest.approx(one.scores, abs=1e-6)


def test_sixteen_bits_are_scaled_as_in_training(tmp_path: Path) -> None:
    values = np.arange(0, 2**16, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "flat.png")
    deep, flat = predict_images(TASKS["multiclass"](), [tmp_path / "deep.png", tmp_path / "flat.png"], keep_images=True)
    assert deep.scores == flat.scores
    assert deep.image is not None
    assert flat.image is not None
    assert torch.equal(deep.image, flat.image)


def test_a_name_alone_may_be_a_folder(files: list[Path], tmp_path: Path) -> None:
    found = list(predict_images(TASKS["multiclass"](), tmp_path / "pictures"))
    assert sorted(str(one.name) for one in found) == [str(file) for file in files]


def test_detection_keeps_the_shape_that_it_was_trained_with(files: list[Path]) -> None:
    task = TASKS["detection"]()
    task.view = WITHIN
    seen: list[tuple[int, ...]] = []
    task.register_forward_pre_hook(lambda module, inputs: seen.append((*inputs[0].shape, *inputs[1][0].tolist())))
    list(predict_images(task, [files[0]]))  # 33 x 21
    assert seen == [(1, 3, 96, 64, 96, 61)]
    fixed = TASKS["detection"](image_size=(48, 40))
    fixed.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    list(predict_images(fixed, [files[0]]))
    assert seen[1] == (1, 3, 48, 40)


@pytest.mark.parametrize(("own", "score"), [(0.9, 0.0), (0.0, 0.9)])
def test_a_minimum_score_replaces_the_detectors_own(own: float, score: float, files: list[Path]) -> None:
    task = TASKS["detection"](image_size=(48, 40), box_score_thresh=own)
    (found,) = predict_images(create_predictor(task, score=score), files[:1])
    (as_trained,) = predict_images(task, files[:1])
    assert [len(one.labels) > 0 for one in (found, as_trained)] == [score < 0.5, own < 0.5]
    expected = TASKS["detection"](image_size=(48, 40), box_score_thresh=score)
    expected.load_state_dict(task.state_dict())
    assert found == next(predict_images(expected, files[:1]))


def test_precomputed_proposals_are_read_from_their_file(files: list[Path], tmp_path: Path) -> None:
    task = TASKS["detection"](proposals="precomputed", image_size=(64, 64))
    with pytest.raises(ArgumentError, match="visiontasks propose"):
        create_predictor(task)
    with pytest.raises(ArgumentError, match="makes its own"):
        create_predictor(TASKS["detection"](image_size=(64, 64)), proposals=tmp_path / "p.npy")
    proposals = ProposalFile.create(tmp_path / "p.npy", image_names(files[:1]), 3, {})
    boxes = np.array([[0, 0, 10.5, 16.5], [5, 6, 21, 33]])  # of 33 x 21 pixels
    proposals.write(0, boxes)
    one, missing = predict_images(create_predictor(task, proposals=tmp_path / "p.npy"), files[:2])
    scale = torch.tensor([64 / 21, 64 / 33] * 2)
    scaled = torch.from_numpy(boxes).float()[None] * scale
    with torch.no_grad():
        found = task.predict(task(read_image(files[0], 3, (64, 64))[None], torch.tensor([[64, 64]]), scaled))
    kept = found.labels[0] >= 0
    assert kept.any()
    assert one.scores == pytest.approx(found.scores[0, kept].tolist(), abs=1e-6)
    torch.testing.assert_close(torch.tensor(one.boxes), found.boxes[0, kept] / scale)
    assert "not in" in str(missing.error)


def test_flips_of_the_task_are_averaged(files: list[Path], tmp_path: Path) -> None:
    mirrored = tmp_path / "mirrored.png"
    Image.open(files[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    one, other = predict_images(TASKS["multiclass"](test_time_flips="horizontal"), [files[0], mirrored])
    assert one.scores == pytest.approx(other.scores, abs=1e-6)
    one, other = predict_images(TASKS["multiclass"](), [files[0], mirrored])
    assert one.scores != pytest.approx(other.scores, abs=1e-4)


class Own(Task):
    """A task of a kind of its own."""

    def forward(self, images: Tensor) -> Tensor:
        return images

    def losses(self, outputs: Any, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401 - as the base
        return {}

    def predict(self, outputs: Any) -> Any:  # noqa: ANN401 - as the base
        return outputs


def test_what_cannot_work_is_refused_at_once(files: list[Path]) -> None:
    task = TASKS["multiclass"]()
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (ClassificationTask(3, backbone_options=SMALL), {}, "size of images"),
        (task, {"window": (64, 64)}, "window is for a SegmentationTask"),
        (task, {"score": 0.5}, "score is for a DetectionTask"),
        (TASKS["detection"](), {}, r"image_size=\(H, W\) \(--image_size H W\)"),
        (TASKS["detection"](image_size=(48, 40)), {"score": 2.0}, "expected 0 to 1"),
        (task, {"overlap": 0.5}, "overlap is for a SegmentationTask"),
        (task, {"image_size": (0, 4)}, "at least 1"),
        (TASKS["segmentation"](), {"scales": []}, "scales"),
        (TASKS["segmentation"](), {"windows_at_once": 0}, "windows_at_once is 0"),
        (Own(backbone_options=SMALL), {}, r"SegmentationTask, AutoencodingTask .* kind = Kind\(row"),
    ]
    for model, options, message in wrong:
        with pytest.raises(ArgumentError, match=message):
            create_predictor(model, **options)
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        predict_images(task, files, batch_size=0)
    with pytest.raises(ArgumentError, match="nowhere"):
        predict_images(task, "nowhere")


def test_names_default_to_numbers(files: list[Path]) -> None:
    (one,) = predict_images(ClassificationTask(3, image_size=(20, 24), backbone_options=SMALL), files[:1])
    assert one.class_names == (str(one.labels[0]),)


def test_codes_that_keep_place_are_of_images_in_their_own_size(files: list[Path]) -> None:
    task = AutoencodingTask(5, "map", backbone_options={"filters": [4, 8], "depth": 1})
    good = [prediction for prediction in predict_images(task, files) if prediction.error is None]
    assert len(good) > 3
    for prediction in good:
        image = read_image(str(prediction.name))
        assert prediction.reconstruction is not None
        assert prediction.reconstruction.shape == image.shape
        with torch.no_grad():
            code = task.eval().encode(image[None]).mean((0, 2, 3))
        torch.testing.assert_close(torch.tensor(prediction.code), code, rtol=1e-4, atol=1e-5)


def test_a_size_that_is_given_keeps_the_range_of_values() -> None:
    task = ClassificationTask(2, backbone_options={"filters": [4], "depth": 1})
    task.view = {"policy": "Whole", "multiple": 1, "value_range": [0, 4095], "exif": False}
    assert view_of(task, (8, 9)) == EvaluationView(Stretch((8, 9)), value_range=(0, 4095), exif=False)
    assert (view_of(task).value_range, view_of(task).exif) == ((0, 4095), False)


@pytest.mark.parametrize("exif", [True, False])
def test_files_are_turned_as_in_training(exif: bool, tmp_path: Path) -> None:
    note = Image.Exif()
    note[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png", exif=note)
    task = ClassificationTask(2, backbone_options={"filters": [4], "depth": 1})
    task.view = EvaluationView(Stretch((8, 8)), exif=exif).describe()
    (prediction,) = predict_images(task, [tmp_path / "a.png"])
    assert prediction.size == ((20, 10) if exif else (10, 20))
