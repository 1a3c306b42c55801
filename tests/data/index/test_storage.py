from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.index.coco_writer import small_set, write
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.ragged import PackedStrings
from visiontasks.data.index.source import build_index
from visiontasks.data.index.storage import read_extra, read_index, write_index


def hold_equal(mine: object, theirs: object) -> None:
    """Compare everything that an index, or a part of it, consists of."""
    assert type(mine) is type(theirs)
    if isinstance(mine, np.ndarray):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype  # type: ignore[attr-defined]
    elif hasattr(mine, "__dataclass_fields__"):
        for field in fields(mine):  # type: ignore[arg-type]
            if field.name != "folder":
                hold_equal(getattr(mine, field.name), getattr(theirs, field.name))
    else:
        assert mine == theirs


def indexes(folder: Path) -> list[ImageIndex]:
    coco = CocoFile(write(folder, small_set()), folder).parse().require()
    return [
        coco,
        coco.subset([2]),
        replace(coco, boxes=None, segments=None, areas=None, image_ids=PackedStrings.pack("abc")),
        build_index(folder, ["a b.jpg", "é.jpg"], ("x",), masks=["", "m.png"]),
        build_index(folder, [], ()),
    ]


@pytest.mark.parametrize("position", range(5))
def test_what_is_written_comes_back_mapped(tmp_path: Path, position: int) -> None:
    index = indexes(tmp_path)[position]
    write_index(index, tmp_path / "folder", {"a": [1]})
    assert read_extra(tmp_path / "folder") == {"a": [1]}
    copy = read_index(tmp_path / "folder")
    hold_equal(copy, index)
    assert copy.folder == tmp_path / "folder"
    if len(index.labels):
        assert isinstance(copy.labels.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            copy.labels[0] = 1


def test_any_damage_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write_index(indexes(tmp_path)[0], folder, {})
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1]), b""):
            file.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"damaged|Expecting|Unterminated|delimiter|format"):
                read_extra(folder)
        file.unlink()
        with pytest.raises(OSError, match=r"No such file"):
            read_extra(folder)
        file.write_bytes(content)
    assert read_extra(folder) == {}
    for header in ("[]", "{}", '{"format": 0}'):
        (folder / "index.json").write_text(header)
        with pytest.raises(ValueError, match=r"damaged|another format"):
            read_extra(folder)
