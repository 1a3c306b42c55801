"""Which samples ``show`` draws, and how it describes them."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from visiontasks.cli import main, show
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.visualization import draw_sample

FLAGS = "--data.train_size 30 --data.val_size 5 --data.test_size 4 --data.image_size [16,16] --data.seed 4"
SHAPES = FLAGS.split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Index and epoch of each sample that is drawn."""
    noted: list[tuple[int, int]] = []

    def note(indices: list[int], epoch: int) -> BatchRequest:
        noted.extend((index, epoch) for index in indices)
        return BatchRequest(indices, epoch)

    monkeypatch.setattr(show, "BatchRequest", note)
    return noted


def test_samples_are_drawn_by_the_seed_of_the_data_in_their_order(drawn: list[tuple[int, int]]) -> None:
    assert main(["show", *SHAPES, "--n", "3", "--epoch", "2"]) == 0
    assert drawn == [(index, 2) for index in sorted(Random(4).sample(range(30), 3))]
    assert {path.name for path in Path().iterdir()} == {"samples.png", "samples_classes.png"}


@pytest.mark.parametrize(("split", "size"), [("val", 5), ("test", 4)])
def test_another_split_is_drawn_whole_where_it_is_small(
    split: str, size: int, drawn: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *SHAPES, "--split", split, "--output", "x.png"]) == 0
    assert drawn == [(index, 0) for index in range(size)]
    printed = capsys.readouterr().out
    assert json.loads(printed[: printed.index("written")]) == {"augmentation": None}
    assert printed.endswith("written: x.png\nwritten: x_classes.png\n")


def test_the_augmentation_is_described_and_raw_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def note(batch: Any, names: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        seen.append(batch)
        return draw_sample(batch, names)

    monkeypatch.setattr(show, "draw_sample", note)
    words = [*SHAPES, "--data.task", "detection", "--data.augmentation", "strong", "--n", "2"]
    assert main(["show", *words]) == 0
    printed = capsys.readouterr().out
    assert "HorizontalFlip" in json.dumps(json.loads(printed[: printed.index("written")])["augmentation"])
    assert main(["show", *words, "--raw"]) == 0
    assert "augmentation" not in capsys.readouterr().out
    augmented, raw = seen[:2], seen[2:]
    assert [batch.ids.tolist() for batch in augmented] == [batch.ids.tolist() for batch in raw]
    assert any(not bool((one.images == other.images).all()) for one, other in zip(augmented, raw, strict=True))
