"""``visiontasks backbones``: the table of available backbones, and the feature maps of one."""

import argparse
import json
import sys
from collections.abc import Sequence

from torchvision.models import get_model_weights

from visiontasks.backbones import list_backbones
from visiontasks.backbones.published import PUBLISHED
from visiontasks.backbones.summary import BackboneSummary, summarize
from visiontasks.errors import ArgumentError

_BAR = 24


def main(command: str, arguments: Sequence[str]) -> int:
    """Print the table of backbones, or the feature maps of one.

    Args:
        command: ``"backbones"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.

    Raises:
        ArgumentError: If there is no such backbone, or the image is empty.
    """
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}", description="List the backbones, or draw the feature maps of one."
    )
    parser.add_argument("name", nargs="?", help="a backbone, timm/NAME for one of timm; all of the table by default")
    parser.add_argument("--in_channels", type=int, default=3, help="channels of the images (default: 3)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(224, 224), metavar=("H", "W"), help="image size (default: 224 224)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if min(options.size) < 1 or options.in_channels < 1:
        message = f"--size is {options.size} and --in_channels {options.in_channels}; expected at least 1."
        raise ArgumentError(message)
    size = tuple(options.size)
    if options.name is not None:
        summary = summarize(options.name, options.in_channels, size)
        print(json.dumps(_as_dict(summary), indent=2) if options.json else _drawing(summary, options.in_channels, size))
        return 0
    summaries = [summarize(name, options.in_channels, size, brief=True) for name in list_backbones()]
    if options.json:
        print(json.dumps([_as_dict(summary) for summary in summaries], indent=2))
    else:
        print(table(summaries, size))
        print("\n'visiontasks backbones NAME' draws the maps of one, or of a timm model: timm/NAME.", file=sys.stderr)
    return 0


def table(summaries: Sequence[BackboneSummary], size: tuple[int, int]) -> str:
    """Format backbones as a table in Markdown.

    Args:
        summaries: The backbones.
        size: Height and width in pixels of the image for which multiply-adds are counted.

    Returns:
        The table.
    """
    rows = [
        (
            "name",
            "parameters",
            f"multiply-adds at {'x'.join(map(str, size))}",
            "strides",
            "channels",
            "receptive field",
            "weights",
        )
    ]
    for summary in summaries:
        strides, channels = zip(*((one.stride, one.channels) for one in summary.maps), strict=True)
        rows.append(
            (
                summary.name,
                _count(summary.parameters),
                _count(summary.multiply_adds),
                " ".join(map(str, strides)),
                " ".join(map(str, channels)),
                _field(summary.maps[-1].receptive_field),
                " ".join(published_weights(summary.name)) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {1, 2, 5}
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = "|".join("-" * (width + 1) + (":" if column in right else "-") for column, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def published_weights(name: str) -> list[str]:
    """List the weights that torchvision publishes for a backbone of the table.

    Args:
        name: Name of the backbone.

    Returns:
        Their names in torchvision, such as ``"IMAGENET1K_V1"``; empty if there are none.
    """
    return [weights.name for weights in get_model_weights(PUBLISHED[name])] if name in PUBLISHED else []


def _drawing(summary: BackboneSummary, in_channels: int, size: tuple[int, int]) -> str:
    height, width = size
    lines = [
        f"{summary.name}: {_count(summary.parameters)} parameters, {_count(summary.multiply_adds)} multiply-adds for "
        f"{in_channels} x {height} x {width}",
        "",
        f"{'stride':>6}  {'channels':>8}  {'size':>9}  {'parameters':>10}  {'':{_BAR}}  {'field':>11}",
    ]
    counts = [one.parameters or 0 for one in summary.maps]
    for one, count in zip(summary.maps, counts, strict=True):
        share = _bar(count / max(1, *counts))
        reach = 1.0 if one.receptive_field is None else min(1.0, one.receptive_field / width)
        lines.append(
            f"{one.stride:>6}  {one.channels:>8}  {f'{one.height} x {one.width}':>9}  {_count(count):>10}  "
            f"{share:{_BAR}}  {_field(one.receptive_field):>11}  {_bar(reach)}"
        )
    lines += ["", f"field: pixels across that a place can depend on; a full bar is the width of the image, {width}."]
    return "\n".join(lines)


def _bar(share: float) -> str:
    """Draw a fraction of the full bar, in eighths of a character; any fraction above 0 is visible."""
    eighths = max(round(share * _BAR * 8), 1 if share else 0)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def _field(pixels: int | None) -> str:
    return "whole image" if pixels is None else str(pixels)


def _count(number: int) -> str:
    """Format a count with three digits, such as ``11.2 M``."""
    value, unit = float(number), ""
    for larger in ("k", "M", "G", "T"):
        if value < 999.5:
            break
        value, unit = value / 1000, f" {larger}"
    return f"{number}" if not unit else f"{value:#.3g}".rstrip(".") + unit


def _as_dict(summary: BackboneSummary) -> dict[str, object]:
    maps = [one._asdict() for one in summary.maps]
    return {**summary._asdict(), "maps": maps, "weights": published_weights(summary.name)}
