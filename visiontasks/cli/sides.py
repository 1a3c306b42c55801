"""Sizes on the command lines that take two words for one: height and width."""

from collections.abc import Sequence


def both_sides(arguments: Sequence[str], *flags: str) -> list[str]:
    """Repeat the number of a size that is given as one, the side of a square.

    Args:
        arguments: A command line.
        *flags: Its flags that take height and width.

    Example:
        >>> both_sides(["run", "--image_size", "224", "a.png"], "--image_size")
        ['run', '--image_size', '224', '224', 'a.png']
        >>> both_sides(["run", "--image_size", "240", "320"], "--image_size")
        ['run', '--image_size', '240', '320']
    """
    words: list[str] = []
    for place, word in enumerate(arguments):
        words.append(word)
        alone = not "".join(arguments[place + 1 : place + 2]).isdigit()
        if place and arguments[place - 1] in flags and word.isdigit() and alone:
            words.append(word)
        for flag in flags:
            if word.startswith(f"{flag}=") and word.removeprefix(f"{flag}=").isdigit() and alone:
                words[-1:] = [flag, *[word.removeprefix(f"{flag}=")] * 2]
    return words
