"""The architecture: who may import whom, what stays light, and what every file keeps to."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "visiontasks"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*MODULES, *(path for folder in ("tests", "recipes", "benchmarks") for path in (ROOT / folder).rglob("*.py"))]

HEAVY = {
    "albumentations",
    "cv2",
    "lightning",
    "numpy",
    "pytorch_lightning",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
    "wandb",
}

# Each part of the package with the other parts that it may import.
BASE = {
    "arguments",
    "description",
    "errors",
    "files",
    "garbage",
    "import_paths",
    "instance_masks",
    "kinds",
    "lazy",
    "options",
    "runs",
    "serialization",
    "sizes",
    "state_dicts",
    "types",
}
BLOCKS = {"backbones", "decoders", "detection", "heads", "losses", "metrics", "necks"}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(BLOCKS, BASE | BLOCKS),
    "tasks": BASE | BLOCKS,
    "data": BASE,
    "visualization": BASE | {"detection"},
    "report": BASE | {"visualization"},
    "callbacks": BASE | {"detection", "metrics", "report", "visualization"},
}
# Parts that may import everything, and that nothing else imports.
TOP = {"__main__", "cli", "embedding", "export", "prediction", "testing"}


def part_of(path: Path) -> str:
    """Name the part of the package that a file belongs to: ``tasks`` for ``visiontasks/tasks/task.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything that is imported below a node; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports of the package are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_what_lies_below_it(path: Path) -> None:
    part = part_of(path)
    if part in TOP | {"__init__"}:
        return
    assert part in MAY_IMPORT, f"{part} is new: say here and in the design what it may import"
    found = {name.split(".")[1] for name in imports(ast.parse(path.read_text())) if name.startswith("visiontasks.")}
    found -= {part, "__version__"}
    assert found <= MAY_IMPORT[part], f"{part} must not import {sorted(found - MAY_IMPORT[part])}"


def test_what_is_imported_is_what_is_declared() -> None:
    roots = {name.split(".")[0] for path in MODULES for name in imports(ast.parse(path.read_text()))}
    third_party = roots - set(sys.stdlib_module_names) - {"visiontasks"}
    homes = packages_distributions()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"]]
    for extra in ("timm", "proposals"):
        declared += project["optional-dependencies"][extra]
    assert {homes[root][0].lower() for root in third_party} == {re.split(r"[\[<>=]", name)[0] for name in declared}


@pytest.mark.parametrize(
    "statement",
    [
        "import visiontasks",
        "import visiontasks.callbacks, visiontasks.losses, visiontasks.metrics",
        "import visiontasks.runs",
        "import visiontasks.cli; sys.argv = ['visiontasks', '--help']; visiontasks.cli.main()",
    ],
    ids=["import visiontasks", "import of lazy packages", "import of the runs", "visiontasks --help"],
)
def test_the_entry_points_load_nothing_heavy(statement: str) -> None:
    code = f"""
import sys
try:
    {statement}
except SystemExit as exit:
    assert not exit.code, exit.code
print("loaded:", *(set(sys.modules) & {HEAVY!r}))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1].strip() == "loaded:"


@pytest.mark.parametrize("name", ["visiontasks", "visiontasks.callbacks", "visiontasks.losses", "visiontasks.metrics"])
def test_every_public_name_exists(name: str) -> None:
    package = import_module(name)
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert sorted(package.__all__) == dir(package)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018 (raises)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_named_for_what_it_does(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 300, f"{lines} lines; split it by what the parts are for"
    assert path.stem not in {"helpers", "misc", "util", "utils"}


def test_the_page_of_the_architecture_names_what_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    files = re.findall(r"`((?:visiontasks|tests)/[\w/.]+)`", text)
    assert len(files) > 10
    assert not [file for file in files if not (ROOT / file).exists()]
    for name, file in re.findall(r"`(\w+)` in `(\w+/[\w/.]+)`", text):
        folder = ROOT if file.startswith("visiontasks/") else PACKAGE
        assert re.search(rf"^(def |class )?{name}\b", (folder / file).read_text(), re.MULTILINE), (name, file)


def test_ci_runs_the_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert command in (ROOT / "README.md").read_text().splitlines()


def test_every_promise_names_a_test() -> None:
    named = re.findall(r"`(tests/\S+)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert named
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert not missing
