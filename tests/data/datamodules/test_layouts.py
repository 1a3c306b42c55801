from pathlib import Path

from visiontasks.data.datamodules.layouts import first_existing, spelled


def test_names_are_found_capitalised_or_in_capitals(tmp_path: Path) -> None:
    for name in ("Images/TRAIN", "images2/train", "Train"):
        (tmp_path / name).mkdir(parents=True)
    assert spelled(tmp_path, "images/train") == "Images/TRAIN"
    assert spelled(tmp_path, "images2/train") == "images2/train"
    assert spelled(tmp_path, "images/val") is None
    assert spelled(tmp_path / "Train", "../images") == "../Images"
    assert spelled(Path("elsewhere"), str(tmp_path / "train")) == str(tmp_path / "Train")
    assert first_existing(tmp_path, ("val", "train")) == tmp_path / "Train"
    assert first_existing(tmp_path, ("val", "valid")) is None
