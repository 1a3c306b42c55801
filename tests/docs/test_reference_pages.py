"""The pages of the reference: every public module is on the page of its package."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import visiontasks

ROOT = Path(visiontasks.__file__).parents[1]


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "_extensions")
        import reference_pages  # type: ignore[import-not-found]  # in the folder that was added

        yield reference_pages
    del sys.modules["reference_pages"]


def test_every_module_is_on_one_page(extension: ModuleType) -> None:
    names = []
    for path in Path(visiontasks.__file__).parent.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[1] == "recipes" or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        names.append(".".join(part for part in parts if part != "__init__"))
    pages = extension.modules_by_package()
    assert sorted(module for modules in pages.values() for module in modules) == sorted(set(names) - {"visiontasks"})
    assert all(
        module.rpartition(".")[0] == package
        for package, modules in pages.items()
        for module in modules
        if module != package
    )


def test_a_page_has_a_section_for_each_module_but_the_package(extension: ModuleType) -> None:
    lines = extension.page("visiontasks.x", ["visiontasks.x", "visiontasks.x.y"]).splitlines()
    assert [line for line in lines if line.startswith("..")] == [
        ".. automodule:: visiontasks.x",
        ".. automodule:: visiontasks.x.y",
    ]
    assert [lines[index - 1] for index, line in enumerate(lines) if line and set(line) in ({"-"}, {"="})] == [
        "visiontasks.x",
        "visiontasks.x.y",
    ]
