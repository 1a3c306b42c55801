"""Pages of the reference: one for each package, with a section for each of its modules.

A page for each module would be one more line in the navigation of every page, and writing it takes longer than reading
the docstrings: 357 pages took five minutes.
"""

import pkgutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import visiontasks

FOLDER = "api/generated"


def modules_by_package() -> dict[str, list[str]]:
    """List the public modules of each package, the package itself first but for ours, whose names are all of others."""
    found = {visiontasks.__name__: list[str]()}
    for module in pkgutil.walk_packages(visiontasks.__path__, f"{visiontasks.__name__}."):
        if any(part.startswith("_") for part in module.name.split(".")):
            continue
        if module.ispkg:
            found[module.name] = [module.name]
        else:
            found[module.name.rpartition(".")[0]].append(module.name)
    return found


def page(package: str, modules: list[str]) -> str:
    """Write the page of a package."""
    lines = [package, "=" * len(package), ""]
    for module in modules:
        # The package's own docstring stands below the title.
        if module != package:
            lines += [module, "-" * len(module), ""]
        lines += [f".. automodule:: {module}", "   :members:", "   :show-inheritance:", ""]
    return "\n".join(lines)


def write_pages(app: Sphinx) -> None:
    """Write all pages, and remove those of packages that are gone."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    texts = {f"{package}.rst": page(package, modules) for package, modules in modules_by_package().items()}
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the writing."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
