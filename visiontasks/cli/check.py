"""``visiontasks check``: validation of a data set before training."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from visiontasks.cli.advice import in_flags
from visiontasks.cli.data import parse_data
from visiontasks.cli.parser import Parser
from visiontasks.data.check import Report, check
from visiontasks.data.check_files import SplitReport
from visiontasks.data.index.problems import Problem, count_kinds

_SHOWN = 10
_DRAWN = (
    "Drawn at random: nothing says which images are for training (train), for choosing the best epoch (val) and for "
    "the final score (test), so they are divided by chance, the same way every time (--data.fractions, "
    "--data.split_seed)."
)
_ORIGINS = {"own": "its own", "list": "listed", "rest": "not listed", "dealt": "drawn at random"}


def main(command: str, arguments: Sequence[str]) -> int:
    """Check a data set and print what was found.

    Args:
        command: ``"check"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0 for clean data, 1 with warnings, 2 with errors.
    """
    description = "Validate a data set: annotations, files, and what the splits have in common."
    data, options = parse_data(command, description, arguments, _add_options, annotations_only="--quick" in arguments)
    report = check(data, files=not options.quick)
    print(json.dumps(_plain(report), indent=2) if options.json else describe(report))
    return report.exit_code


def _add_options(parser: Parser) -> None:
    parser.add_argument("--quick", action="store_true", help="annotations only; no image is decoded")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def describe(report: Report) -> str:
    """Format a report as text: problems by kind, then the contents of the splits."""
    lines = []
    for severity in ("error", "warning"):
        chosen = [problem for problem in report.problems if problem.severity == severity]
        for kind, count in count_kinds(chosen).items():
            lines.append(f"{severity}: {kind} ({count})")
            rows = [problem for problem in chosen if problem.kind == kind]
            lines += [f"  {_row(problem)}" for problem in rows[:_SHOWN]]
            lines += [f"  and {len(rows) - _SHOWN} more; --json lists all"] if len(rows) > _SHOWN else []
    lines += ["", *_table(report)]
    if any(split.origin == "dealt" for split in report.splits.values()):
        lines += ["", _DRAWN]
    if unread := sum(split.unread_masks for split in report.splits.values()):
        lines += ["", f"{unread:,} objects have polygons or masks: --data.task instances reads them."]
    errors = sum(problem.severity == "error" for problem in report.problems)
    warnings = len(report.problems) - errors
    return "\n".join([*lines, "", f"{errors} errors, {warnings} warnings."]).lstrip("\n")


def _row(problem: Problem) -> str:
    return " | ".join(filter(None, (problem.file, problem.record, problem.value, in_flags(problem.remedy))))


def _table(report: Report) -> list[str]:
    rows = [["", *report.splits]]
    if any(split.origin != "own" for split in report.splits.values()):
        rows.append(["", *(_ORIGINS[split.origin] for split in report.splits.values())])
    rows.append(["images", *(f"{split.images:,}" for split in report.splits.values())])
    if report.counted:
        # A class for each image has no objects to count.
        if any(len(split.boxes) or split.counts.sum() != split.images for split in report.splits.values()):
            rows.append([report.counted, *(f"{split.counts.sum():,}" for split in report.splits.values())])
        for label, name in enumerate(report.class_names):
            rows.append([f"  {name}", *(f"{split.counts[label]:,}" for split in report.splits.values())])
    if any(split.ignored_pixels for split in report.splits.values()):
        rows.append(["pixels ignored", *(_pixels(split) for split in report.splits.values())])
    if any(split.ignored for split in report.splits.values()):
        rows.append(["objects ignored", *(f"{split.ignored:,}" for split in report.splits.values())])
    if any(split.masks is not None for split in report.splits.values()):
        masks = [(split.masks or 0, int(split.counts.sum())) for split in report.splits.values()]
        rows.append(["masks", *(f"{count:,}" for count, _ in masks)])
        rows.append(["objects without mask", *(f"{objects - count:,}" for count, objects in masks)])
    rows.append(["height x width", *(_sizes(split) for split in report.splits.values())])
    if any(len(split.boxes) for split in report.splits.values()):
        rows.append(["side of boxes", *(_boxes(split) for split in report.splits.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _pixels(split: SplitReport) -> str:
    share = split.ignored_pixels / max(split.ignored_pixels + int(split.counts.sum()), 1)
    return f"{split.ignored_pixels:,} ({100 * share:.0f} %)"


def _sizes(split: SplitReport) -> str:
    if not len(split.sizes):
        return "not known"
    low, high = split.sizes.min(0), split.sizes.max(0)
    least = f"{low[0]} x {low[1]}"
    return least if (low == high).all() else f"{least} to {high[0]} x {high[1]}"


def _boxes(split: SplitReport) -> str:
    if not len(split.boxes):
        return "none"
    least, median, most = np.quantile(split.boxes, (0, 0.5, 1))
    return f"{least:.0f} to {most:.0f}, median {median:.0f}"


def _plain(report: Report) -> dict[str, object]:
    splits = {
        name: {
            "images": split.images,
            "origin": split.origin,
            **(
                {report.counted: dict(zip(report.class_names, split.counts.tolist(), strict=True))}
                if report.counted
                else {}
            ),
            "ignored": split.ignored,
            **({"ignored_pixels": split.ignored_pixels} if report.counted == "pixels" else {}),
            **({} if split.masks is None else {"masks": split.masks}),
            "smallest_size": split.sizes.min(0).tolist() if len(split.sizes) else None,
            "largest_size": split.sizes.max(0).tolist() if len(split.sizes) else None,
            "box_sides": np.quantile(split.boxes, (0, 0.25, 0.5, 0.75, 1)).tolist() if len(split.boxes) else None,
        }
        for name, split in report.splits.items()
    }
    return {
        "exit_code": report.exit_code,
        "splits": splits,
        "problems": [asdict(problem) for problem in report.problems],
    }
