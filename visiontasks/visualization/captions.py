"""Text on and beside pictures: broken into lines, never cut, and never on top of other text."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

PAPER, INK = (255, 255, 255), (40, 40, 40)
_LETTERS = 11
"""Minimum height of letters in pixels."""


def letter_height(size: tuple[int, int]) -> int:
    """Choose the height of letters, in pixels, that are written onto a picture of a size: legible when it is shrunk."""
    return max(_LETTERS, round(max(size) / 50))


def break_lines(text: str, width: float, height: int) -> list[str]:
    """Break a text into lines at spaces and, where a word is too long, within it.

    Args:
        text: The text; it may have several lines.
        width: Of a line, in pixels.
        height: Height of the letters, in pixels.

    Example:
        >>> break_lines("a long-winded title", 60, 13)
        ['a', 'long-win', 'ded title']
    """
    font = ImageFont.load_default(height)
    lines: list[str] = []
    for part in text.split("\n"):
        line = ""
        for word in part.split(" "):
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while len(line) > 1 and font.getlength(line) > width:
                end = len(line) - 1
                while end > 1 and font.getlength(line[:end]) > width:
                    end -= 1
                lines.append(line[:end])
                line = line[end:]
        lines.append(line)
    return lines


def draw_boxes(
    picture: Image.Image, boxes: Sequence[Sequence[float]], names: Sequence[str], colors: Sequence[Color], height: int
) -> None:
    """Draw boxes onto a picture, each with its name on a ground of its colour, where no other name is.

    A name for which there is no room at its box is left out. The first boxes are on top, and choose first.

    Args:
        picture: The picture, which is changed in place.
        boxes: xyxy in pixels of the picture.
        names: Name of each box; empty for none.
        colors: RGB of each box.
        height: Height of the letters in pixels; lines are a fifth as wide.
    """
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(height)
    for box, color in reversed(list(zip(boxes, colors, strict=True))):
        draw.rectangle(tuple(box), outline=color, width=max(1, height // 5))
    taken: list[tuple[float, float, float, float]] = []
    for box, name, color in zip(boxes, names, colors, strict=True):
        size = (round(font.getlength(name)) + 4, height + 3)
        place = _free_place(box, size, picture.size, taken) if name else None
        if place is None:
            continue
        taken.append(place)
        draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=color)
        draw.text((place[0] + 2, place[1]), name, fill=ink_on(color), font=font)


def _free_place(
    box: Sequence[float],
    size: tuple[int, int],
    picture: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float] | None:
    """Find a place for a name at its box: above it, within it, below it, at the left or at the right."""
    width, height = size
    left, top, right, bottom = box
    inside = [top + height * row for row in range(max(1, int((bottom - top) // height)))]
    for y in (top - height, *inside, bottom - height, bottom):
        for x in (left, right - width, (left + right - width) / 2):
            x1 = round(min(max(x, 0), picture[0] - width))
            y1 = round(min(max(y, 0), picture[1] - height))
            place = (x1, y1, x1 + width, y1 + height)
            apart = (
                place[2] <= one[0] or one[2] <= place[0] or place[3] <= one[1] or one[3] <= place[1] for one in taken
            )
            if x1 >= 0 and y1 >= 0 and all(apart):
                return place
    return None


def ink_on(color: Color) -> Color:
    """Choose black or white letters for a ground, by its brightness."""
    return PAPER if 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 150 else INK


def draw_legend(picture: Image.Image, entries: Sequence[tuple[str, Color]], height: int) -> None:
    """Write names, each beside its colour, into the upper left corner of a picture, in letters of the given height."""
    draw, font, line = ImageDraw.Draw(picture), ImageFont.load_default(height), height + 3
    for row, (name, color) in enumerate(entries):
        top = 2 + row * line
        draw.rectangle((2, top, line + 2 + draw.textlength(name, font=font), top + line - 1), fill=PAPER)
        draw.rectangle((4, top + 3, line - 3, top + line - 4), fill=color)
        draw.text((line, top), name, fill=INK, font=font)


def add_legend(picture: Image.Image, entries: Sequence[tuple[str, Color]], height: int = 13) -> Image.Image:
    """Write names, each beside its colour, below a picture, in as many rows as they need.

    Args:
        picture: The picture; a narrow one is widened for a long name.
        entries: Each name and its colour.
        height: Height of the letters in pixels.

    Returns:
        The picture and the legend; the picture alone without entries.
    """
    if not entries:
        return picture
    font, line, margin = ImageFont.load_default(height), height + 6, 6
    widths = [line + round(font.getlength(name)) + 2 * margin for name, _ in entries]
    width = max(picture.width, max(widths) + margin)
    places: list[tuple[int, int]] = []
    x = row = 0
    for needed in widths:
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((margin + x, picture.height + row * line))
        x += needed
    canvas = Image.new("RGB", (width, picture.height + (row + 1) * line + margin), PAPER)
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    for (left, top), (name, color) in zip(places, entries, strict=True):
        draw.rectangle((left, top + 2, left + height, top + 2 + height), fill=color)
        draw.text((left + line, top), name, fill=INK, font=font)
    return canvas
