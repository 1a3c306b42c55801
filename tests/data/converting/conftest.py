import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.index.coco_writer import small_set


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write three images and six objects: polygons, several parts, run lengths, a crowd, large ids, empty image."""
    content = small_set()
    for image in content["images"]:
        file = tmp_path / "set" / "train" / image["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (image["width"], image["height"])).save(file)
    for split in ("train", "val"):
        (tmp_path / "set" / f"{split}.json").write_text(json.dumps(content))
    return tmp_path / "set"
