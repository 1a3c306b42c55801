"""Text on pictures."""

import itertools
import random

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from visiontasks.visualization import class_color, from_pillow
from visiontasks.visualization.captions import (
    PAPER,
    add_legend,
    break_lines,
    draw_boxes,
    draw_legend,
    ink_on,
    letter_height,
)


@pytest.mark.parametrize("width", [20, 60, 90, 200])
@pytest.mark.parametrize(
    "text", ["", "word", "Donaudampfschifffahrtsgesellschaft 0.98", "a b c\ntrue: dining table", "ü" * 90]
)
def test_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = break_lines(text, width, 13)
    font = ImageFont.load_default(13)
    assert all(font.getlength(line) <= width or len(line) == 1 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert len(lines) >= text.count("\n") + 1


def drawn_names(monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[float, ...]], list[str]]:
    """Note the grounds and the names that are drawn."""
    grounds: list[tuple[float, ...]] = []
    names: list[str] = []
    rectangle, text = ImageDraw.ImageDraw.rectangle, ImageDraw.ImageDraw.text

    def note_ground(self: ImageDraw.ImageDraw, xy: tuple[float, ...], *args: object, **kwargs: object) -> None:
        if "outline" not in kwargs:
            grounds.append(xy)
        rectangle(self, xy, *args, **kwargs)  # type: ignore[arg-type]  # passed on

    def note_text(self: ImageDraw.ImageDraw, xy: tuple[float, float], name: str, **kwargs: object) -> None:
        names.append(name)
        text(self, xy, name, **kwargs)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(ImageDraw.ImageDraw, "rectangle", note_ground)
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", note_text)
    return grounds, names


@pytest.mark.parametrize(("count", "side"), [(1, 100), (20, 480), (200, 320), (30, 3500)])
def test_names_do_not_overprint_one_another_nor_leave_the_picture(
    count: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(count)
    grounds, names = drawn_names(monkeypatch)
    boxes = []
    for _ in range(count):
        x, y = generator.uniform(-9, side - 10), generator.uniform(-9, side - 10)
        boxes.append((x, y, x + generator.uniform(1, side / 4), y + generator.uniform(1, side / 4)))
    wanted = [f"dog 0.{number:02}" for number in range(count)]
    draw_boxes(Image.new("RGB", (side, side)), boxes, wanted, [(9, 9, 9)] * count, letter_height((side, side)))
    assert len(grounds) == len(names)
    assert names == [name for name in wanted if name in names]
    assert names[0] == wanted[0]
    assert len(names) == count or count == 200
    assert all(x1 >= 0 and y1 >= 0 and x2 < side and y2 < side for x1, y1, x2, y2 in grounds)
    for one, other in itertools.combinations(grounds, 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


def test_two_objects_at_one_place_have_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    _, names = drawn_names(monkeypatch)
    boxes = [(30, 30, 80, 80)] * 3
    draw_boxes(Image.new("RGB", (200, 200)), boxes, ["cat 0.90", "dog 0.60", "cow 0.30"], [(9, 9, 9)] * 3, 12)
    assert names == ["cat 0.90", "dog 0.60", "cow 0.30"]


@pytest.mark.parametrize(("size", "height"), [((28, 28), 11), ((640, 480), 13), ((2333, 3500), 70)])
def test_letters_grow_with_the_picture(size: tuple[int, int], height: int) -> None:
    assert letter_height(size) == height


def test_letters_are_black_on_bright_grounds() -> None:
    assert ink_on((255, 220, 0)) != PAPER
    assert ink_on((20, 20, 120)) == PAPER


@pytest.mark.parametrize("width", [60, 400])
def test_a_legend_below_has_all_its_entries(width: int) -> None:
    entries = [(f"name {label}", class_color(label)) for label in range(11)]
    picture = from_pillow(add_legend(Image.new("RGB", (width, 50)), entries))
    assert picture.shape[2] >= width
    assert not picture[:, :50, :width].any()
    below = picture[:, 50:].flatten(1).T
    for _, color in entries:
        assert (below == torch.tensor(color)).all(1).sum() >= 13 * 13
    assert add_legend(Image.new("RGB", (5, 6)), []).size == (5, 6)


def test_a_legend_on_a_picture_is_as_large_as_its_letters() -> None:
    picture = Image.new("RGB", (600, 300))
    draw_legend(picture, [("cat", (9, 8, 7))], 40)
    assert picture.getpixel((20, 20)) == (9, 8, 7)
    assert picture.getpixel((20, 60)) == (0, 0, 0)
