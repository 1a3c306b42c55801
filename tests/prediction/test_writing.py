"""What is written while the network goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.prediction.small_tasks import TASKS
from visiontasks.errors import ArgumentError
from visiontasks.prediction import Prediction, create_predictor, predict_images
from visiontasks.prediction.formats import JsonLines
from visiontasks.prediction.writing import choose_format, create_writer, write_predictions

BOXES = ((0.0, 0.0, 4.0, 4.0), (1.0, 1.0, 3.0, 3.0))


def prediction(number: int) -> Prediction:
    pixels = torch.zeros(3, 4, 4, dtype=torch.uint8)
    return Prediction(
        Path(f"{number}.png"), (4, 4), (0, 1), ("cat", "dog"), (0.7, 0.4), BOXES,
        mask=torch.zeros(4, 4, dtype=torch.uint8),
        reconstruction=pixels, image=pixels, picture=pixels.clone,
    )  # fmt: skip


def test_what_is_passed_on_holds_no_pixels(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "x.jsonl") as writer:
        (passed,) = write_predictions([prediction(0)], writer)
    assert (passed.image, passed.mask, passed.reconstruction, passed.picture) == (None,) * 4
    assert passed.scores == (0.7, 0.4)


@pytest.mark.parametrize("everything", [False, True])
def test_pictures_show_what_is_sure_unless_all_is_asked_for(everything: bool, tmp_path: Path) -> None:
    drawn: list[Prediction] = []
    failed = Prediction(Path("bad.png"), error="'bad.png' could not be read")
    asked = {"all_boxes": True} if everything else {}
    with JsonLines(tmp_path / "x.jsonl") as writer:
        list(write_predictions([prediction(0), failed], writer, drawn.append, **asked))
    assert [one.class_names for one in drawn] == [("cat", "dog") if everything else ("cat",)]
    assert '"dog"' in (tmp_path / "x.jsonl").read_text()


def test_images_are_predicted_and_written_a_few_at_a_time(tmp_path: Path) -> None:
    taken: list[int] = []

    def images() -> Iterator[torch.Tensor]:
        for number in range(60):
            taken.append(number)
            yield torch.zeros(3, 20, 24, dtype=torch.uint8)

    predictor = create_predictor(TASKS["multiclass"](), device="cpu")
    predictions = predict_images(predictor, images(), batch_size=3, threads=2)
    next(predictions)
    assert len(taken) <= 3 + 3 + 2 + 1
    with JsonLines(tmp_path / "x.jsonl") as writer:
        written = write_predictions(predictions, writer)
        next(written)
        assert len(taken) < 30
        list(written)
    assert len(taken) == 60


def test_a_folder_is_not_written_over_a_file_nor_a_file_over_a_folder(tmp_path: Path) -> None:
    predictor = create_predictor(TASKS["segmentation"](), device="cpu")
    (tmp_path / "masks").write_text("a file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArgumentError, match="give a folder to write into"):
        choose_format(predictor, "png", tmp_path / "masks")
    with pytest.raises(ArgumentError, match=r"'coco' is one file, and .*folder' is a folder"):
        choose_format(predictor, "coco", tmp_path / "folder")
    assert choose_format(predictor, None, tmp_path / "new") == "png"
    assert choose_format(predictor, None, tmp_path / "x.JSONL") == "jsonl"
    assert choose_format(create_predictor(TASKS["autoencoding"](), device="cpu"), None, tmp_path / "x.npz") == "npz"


def test_a_format_follows_from_the_suffix_of_a_file_alone(tmp_path: Path) -> None:
    predictor = create_predictor(TASKS["multiclass"](), device="cpu")
    assert choose_format(predictor, None, tmp_path / "x.png") == "csv"
    assert choose_format(predictor, None, tmp_path / "x.jsonl") == "jsonl"
    with pytest.raises(ArgumentError, match="format is 'npz', which a ClassificationTask has no results for"):
        choose_format(predictor, None, tmp_path / "x.npz")


def test_the_background_of_a_segmentation_has_no_id(tmp_path: Path) -> None:
    files = [Path("7.png")]
    writers: list[Any] = [
        create_writer("coco", create_predictor(TASKS[kind](), device="cpu"), files, tmp_path / "x.json")
        for kind in ("segmentation", "localization")
    ]
    assert [writer.ids.categories for writer in writers] == [
        {"cat": 1, "dog": 2},
        {"background": 1, "cat": 2, "dog": 3},
    ]
    assert writers[0].ids.images == {Path("7.png"): 7}


def test_a_score_of_the_minimum_is_enough() -> None:
    assert prediction(0).at_least(0.4).scores == (0.7, 0.4)
    assert prediction(0).at_least(0.41).boxes == BOXES[:1]


def test_annotations_are_for_the_format_that_has_their_ids(tmp_path: Path) -> None:
    predictor = create_predictor(TASKS["segmentation"](), device="cpu")
    with pytest.raises(ArgumentError, match="annotations are for the format 'coco'; this one writes files"):
        create_writer("png", predictor, [], tmp_path, tmp_path / "a.json")
