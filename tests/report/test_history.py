from pathlib import Path

import pytest

from visiontasks.errors import DataError
from visiontasks.report import read_history
from visiontasks.report.history import MOST_POINTS


def test_values_of_an_epoch_are_averaged_and_stages_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(
        "epoch,step,lr,test/loss,train/loss,val/iou/a,val/loss,train/loss_step\n"
        "0,1,0.1,,2.0,,,7\n0,3,0.1,,4.0,,,7\n0,3,,,,0.5,5.0,\n1,5,0.2,,1.0,,nan,7\n2,5,,9.0,,,,\n"
    )
    assert read_history(file) == {
        "lr": {"": [(1.0, pytest.approx(0.1)), (2.0, 0.2)]},
        "loss": {"train": [(1.0, 3.0), (2.0, 1.0)], "val": [(1.0, 5.0)]},
    }


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_history(tmp_path / "metrics.csv") == {}
    (tmp_path / "metrics.csv").write_text("")
    assert read_history(tmp_path / "metrics.csv") == {}


def test_a_long_training_is_thinned(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,val/loss\n" + "".join(f"{epoch},{epoch}\n" for epoch in range(1000)))
    points = read_history(file)["loss"]["val"]
    assert len(points) == MOST_POINTS
    assert points[0] == (2.5, 1.5)


@pytest.mark.parametrize(("text", "said"), [("a,b\n1,2\n", "no column 'epoch'"), ("epoch,val/x\n0,one\n", "line 2")])
def test_a_file_of_another_kind_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_history(tmp_path / "metrics.csv")


def test_rows_without_an_epoch_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,lr-AdamW,train/loss\n,0,0.1,\n0,1,,3.0\n")
    assert read_history(tmp_path / "metrics.csv") == {"loss": {"train": [(1.0, 3.0)]}}
