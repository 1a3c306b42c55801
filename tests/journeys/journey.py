"""A journey: what a newcomer wants, where the docs answer it, what is typed, and what is there afterwards."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from _pytest.mark.structures import ParameterSet

from visiontasks.cli import main

DOCS = Path(__file__).parents[2] / "docs"
MOST_COMMANDS = 3
MOST_LINES = 15

QUICK = (
    "--trainer.max_epochs 1 --trainer.accelerator cpu --trainer.enable_progress_bar false "
    "--trainer.enable_model_summary false --trainer.precision 32-true --data.num_workers 0"
)
"""What makes a training quick enough for a test, given with it unless the journey is about it."""
SMALL = "--model.backbone_options.filters [4,8] --model.backbone_options.depth 1"
UNSEEN = "--shown []"
SMALL_IMAGES = "--data.image_size 32"
SMALL_DETECTOR = "--data.shorter 48 --data.longer 64 --model.fpn_width 8 --model.head_width 8"


class Journey(NamedTuple):
    """What a newcomer wants.

    Attributes:
        wish: What it is.
        page: Section of the docs that answers it, ``page.md#anchor``, and further pages that name its flags.
        data: Writes what the newcomer has into the present folder.
        commands: What is typed, at most three.
        left: Patterns of files that are there afterwards, each with a text that stands in one of them or "".
        said: Texts that are printed.
        quick: Flags that make each training quick, beside :data:`QUICK`, over which they win.
        check: Checks what texts do not say.
        slow: Whether it takes longer than a few seconds, or shows what a quick one shows on another form.
    """

    wish: str
    page: str
    data: Callable[[], None]
    commands: tuple[str, ...]
    left: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()
    quick: str = ""
    check: Callable[[], None] | None = None
    slow: bool = False


def section(page: str) -> str:
    """Return the text of a section of the docs, without those below it of the same or a higher level."""
    name, _, anchor = page.partition("#")
    text = (DOCS / name).read_text()
    if not anchor:
        return text
    parts = re.split(r"^(#+ .*)$", text, flags=re.MULTILINE)
    for position in range(1, len(parts), 2):
        words = re.sub(r"[^\w\s-]", "", parts[position].lstrip("#").strip().lower()).replace(" ", "-")
        if words == anchor:
            level = len(parts[position].split()[0])
            after = [place for place in range(position + 2, len(parts), 2) if len(parts[place].split()[0]) <= level]
            return "".join(parts[position : (after or [len(parts)])[0]])
    message = f"{name} has no section #{anchor}"
    raise AssertionError(message)


def code_blocks(text: str) -> list[list[str]]:
    """Return the blocks of Python in a text, each as its lines without prompts, outputs and empty lines."""
    blocks = []
    for block in re.findall(r"^```(?:python|pycon)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = [line for line in block.splitlines() if line.strip()]
        if any(line.startswith(">>>") for line in lines):
            lines = [line[4:] for line in lines if line.startswith((">>>", "...")) and line[4:].strip()]
        blocks.append(lines)
    return blocks


def check_described(journey: Journey) -> None:
    """Check that a journey is short, and that the docs that it names show how: the section and every flag."""
    assert 1 <= len(journey.commands) <= MOST_COMMANDS, journey.wish
    first, *others = journey.page.split()
    assert section(first)
    assert f"({first})" in (DOCS / "getting_started.md").read_text(), f"its table does not lead to {first}"
    text = "".join(section(page.partition("#")[0]) for page in (first, *others))
    typed = {word for command in journey.commands for word in re.findall(r"(?<= )--?[a-z][\w.]*\+?", command)}
    hidden = sorted(flag for flag in typed if flag not in text)
    assert not hidden, f"{journey.wish}: {journey.page} does not name {hidden}"


def cases(journeys: Sequence[Journey]) -> list[ParameterSet]:
    """Make the cases of a test of journeys, the slow ones marked."""
    return [pytest.param(one, id=one.wish, marks=[pytest.mark.slow] if one.slow else []) for one in journeys]


def travel(journey: Journey, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Run the commands of a journey in the present folder, and check what is there afterwards."""
    caplog.set_level("INFO")
    journey.data()
    printed = ""
    for command in journey.commands:
        program, *words = shlex.split(command)
        assert program == "visiontasks"
        if words[0] in ("fit", "tune"):
            words += f"{QUICK} {journey.quick}".split()
        elif words[0] in ("test", "validate"):
            words += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
        code = main(words)
        out, err = capsys.readouterr()
        assert code == 0, f"{command}\n{out}\n{err}"
        printed += out + err
        forget_modules()
    printed += "\n".join(caplog.messages)
    for text in journey.said:
        assert text in printed, f"{journey.wish}: {text!r} is not in\n{printed}"
    for pattern, text in journey.left:
        files = [path for path in Path().glob(pattern) if path.stat().st_size]
        assert files, f"{journey.wish}: there is no {pattern}"
        assert not text or any(text in file.read_text() for file in files), f"{journey.wish}: {text!r} in {pattern}"
    if journey.check is not None:
        journey.check()


def forget_modules() -> None:
    """Forget the modules of the present folder, as each command of a shell does."""
    here = Path.cwd()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).parent == here:
            del sys.modules[name]
