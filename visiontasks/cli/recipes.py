"""``visiontasks recipes``: what recipes there are and what they have reached, and a copy of one to change."""

import argparse
import ast
import json
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from shutil import copyfile
from textwrap import fill
from typing import NamedTuple

from visiontasks.errors import ArgumentError, near_matches
from visiontasks.files import replacing

_PACKAGE = Path(__file__).parents[1]


class Recipe(NamedTuple):
    """A recipe, as its docstring describes it.

    Attributes:
        name: What it is called by.
        files: Its files, relative to the folder of the recipes.
        summary: What it does, in a sentence; of a folder a line for each file.
        hardware: What it ran on, and for how long; None for a folder.
        metric: What it has reached; None for a folder.
    """

    name: str
    files: tuple[Path, ...]
    summary: str
    hardware: str | None
    metric: str | None


def main(command: str, arguments: Sequence[str]) -> int:
    """List the recipes, or copy one.

    Args:
        command: ``"recipes"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.

    Raises:
        ArgumentError: If there is no such recipe, or a file of its name is there already.
    """
    options = _parser(command).parse_args(arguments)
    recipes = list_recipes()
    if options.action == "copy":
        copied = copy_recipe(options.name, options.output)
        print("\n".join(f"Copied to {str(file)!r}." for file in copied))
        if len(copied) == 1:
            print(f"Run it by: python {copied[0]}; its docstring says what data it needs. With --fast, it needs none.")
    elif options.json:
        print(json.dumps([recipe._asdict() for recipe in recipes], indent=2, default=str))
    else:
        print("\n\n".join(_description(recipe) for recipe in recipes))
        print("\n'visiontasks recipes copy NAME' writes one to the folder recipes, to be run and changed there.")
        print(
            "With --fast each runs in under a minute on generated data: the whole way, with figures that mean nothing."
        )
    return 0


def list_recipes() -> list[Recipe]:
    """Read what the recipes say of themselves.

    Returns:
        The recipes by their names; those in a folder, such as the scripts for clusters, last and as one.
    """
    root = _folder()
    scripts = [_recipe(path) for path in sorted(root.glob("*.py"))]
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name != "__pycache__")
    return scripts + [_recipe_folder(folder) for folder in folders]


def copy_recipe(name: str, folder: Path) -> list[Path]:
    """Copy a recipe, which may then be changed; what is there is never overwritten.

    Args:
        name: Its name, with or without ``.py``.
        folder: Where to; it is made if it does not exist.

    Returns:
        The files that were written.

    Raises:
        ArgumentError: If there is no such recipe, or one of its files is there already.
    """
    recipes = {recipe.name: recipe for recipe in list_recipes()}
    known = name.removesuffix(".py")
    if known not in recipes:
        message = f"there is no recipe {name!r}. {near_matches(known, recipes)}"
        raise ArgumentError(message)
    targets = {file: folder / file for file in recipes[known].files}
    for target in targets.values():
        if target.exists():
            message = f"{str(target)!r} is there already; remove it, or name another folder by --output FOLDER."
            raise ArgumentError(message)
    for file, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            copyfile(_folder() / file, part)
            part.chmod((_folder() / file).stat().st_mode)  # scripts for clusters are run as they are
    return list(targets.values())


def _folder() -> Path:
    """Find the recipes: inside the package as installed, beside it in a clone."""
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parent / "recipes"


def _recipe(script: Path) -> Recipe:
    opening = _opening(script)
    results = (_field(opening, title) for title in ("Hardware and time", "Metric"))
    return Recipe(script.stem, (Path(script.name),), _sentence(opening), *results)


def _recipe_folder(folder: Path) -> Recipe:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    summary = "\n".join(f"{file.name}: {_sentence(_opening(file))}" for file in files)
    return Recipe(folder.name, tuple(Path(folder.name, file.name) for file in files), summary, None, None)


def _opening(file: Path) -> str:
    """Read the docstring of a script of Python, or the comment that another file begins with."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    lines = (line for line in text.splitlines() if not line.startswith("#!"))
    return "\n".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))


def _sentence(opening: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(opening.split()), maxsplit=1)[0]


def _field(described: str, title: str) -> str | None:
    """Return what follows a title at the beginning of a line, up to the next title or an empty line."""
    found = re.search(rf"^{title}: (.*?)(?=\n[A-Z][\w ]*: |\n\n|\Z)", described, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else None


def _description(recipe: Recipe) -> str:
    results = {"Result": recipe.metric, "On": recipe.hardware}
    parts = [*recipe.summary.split("\n"), *(f"{title}: {text}" for title, text in results.items() if text)]
    lines = [fill(part, 110, initial_indent="  ", subsequent_indent="    ") for part in parts]
    return "\n".join([recipe.name, *lines])


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}", description="List the recipes with their measured results, or copy one."
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    actions = parser.add_subparsers(dest="action", metavar="copy NAME")
    copy = actions.add_parser("copy", help="write a recipe to a folder, to be run and changed there")
    copy.add_argument("name", help="one of those that 'visiontasks recipes' lists")
    copy.add_argument("--output", type=Path, default=Path("recipes"), metavar="FOLDER", help="default: recipes")
    return parser
