"""Problems of annotations: collected while parsing, then raised as one error or listed by a check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from visiontasks.data.index.packed import ImageIndex
from visiontasks.errors import DataError

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of the annotations.

    Attributes:
        severity: An error prevents training; a warning reports what was dropped or changed.
        kind: What is wrong, in a few words that are the same for all problems of the kind.
        file: Where it was found.
        record: Record of the file; "" for the file as a whole.
        value: What was found; "" if there is no value to show.
        remedy: What to do, or what was done.
    """

    severity: Literal["error", "warning"]
    kind: str
    file: str
    record: str
    value: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.record}" if self.record else self.file
        return f"{place}: {self.kind}{f': {self.value}' if self.value else ''}. {self.remedy}"


@dataclass(frozen=True)
class Parsed:
    """Result of a parser, which raises no exception because of the contents of annotations.

    Attributes:
        index: The records without errors.
        problems: All problems.
    """

    index: ImageIndex
    problems: Sequence[Problem]

    def require(self) -> ImageIndex:
        """Return the index, if training can use it.

        Raises:
            DataError: There are errors; the message gives their number and lists the first ten.
        """
        errors = [problem for problem in self.problems if problem.severity == "error"]
        if not errors:
            return self.index
        kinds = count_kinds(errors)
        summary = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        lines = [f"{len(errors)} error{'s' if len(errors) > 1 else ''} in the annotations ({summary}):"]
        lines += [f"  {error}" for error in errors[:_SHOWN]]
        if len(errors) > _SHOWN:
            lines.append(f"  and {len(errors) - _SHOWN} more.")
        raise DataError("\n".join(lines))


def count_kinds(problems: Sequence[Problem]) -> dict[str, int]:
    """Count problems by kind, in the order of their first occurrence.

    Example:
        >>> empty = Problem("warning", "empty box", "a.json", "annotations[0]", "[1, 2, 0, 4]", "It was dropped.")
        >>> count_kinds([empty, empty])
        {'empty box': 2}
    """
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.kind] = counts.get(problem.kind, 0) + 1
    return counts
