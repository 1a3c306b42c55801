"""The directive ``data-arguments``: a table of what a data module takes, from its signature and its docstring."""

import inspect
import re
from typing import Any, NamedTuple

from docstring_parser import parse
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import visiontasks
from visiontasks.data import lightning_modules


class Argument(NamedTuple):
    """An argument of a data module, as a row of the table shows it."""

    name: str
    default: str
    meaning: str


def own_arguments(module: type) -> list[Argument]:
    """Return what a data module takes beside the arguments of the data modules that it derives from.

    An argument that a base has too is listed if its default differs.

    Args:
        module: Class of the data module.

    Returns:
        The arguments in the order of the signature.

    Raises:
        LookupError: If the docstring does not describe an argument.
    """
    base = next((parent for parent in module.__mro__[1:] if is_data_module(parent)), None)
    inherited = _all_arguments(base) if base else {}
    return [argument for name, argument in _all_arguments(module).items() if argument != inherited.get(name)]


def is_data_module(candidate: object) -> bool:
    """Tell whether something is a data module of this library."""
    if not isinstance(candidate, type):
        return False
    return candidate.__module__.startswith("visiontasks.") and candidate.__name__.endswith("DataModule")


def _all_arguments(module: type) -> dict[str, Argument]:
    """Return the arguments of all constructors that a data module goes through, those of the nearest class first."""
    found: dict[str, Argument] = {}
    for owner in module.__mro__:
        if not owner.__module__.startswith("visiontasks.") or "__init__" not in vars(owner):
            continue
        described = {param.arg_name: param.description for param in parse(inspect.getdoc(owner) or "").params}
        for parameter in list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]:
            # What has no default in a base is given by the classes that are named on the command line.
            if parameter.name in found or parameter.default is parameter.empty:
                continue
            if parameter.name not in described:
                message = f"the docstring of {owner.__name__} does not describe {parameter.name!r}"
                raise LookupError(message)
            found[parameter.name] = Argument(parameter.name, repr(parameter.default), described[parameter.name] or "")
    return found


def table(arguments: list[Argument]) -> str:
    """Write arguments as a table in Markdown, with the roles of reStructuredText in MyST's notation."""
    lines = ["| argument | default | meaning |", "| --- | --- | --- |"]
    for name, default, meaning in arguments:
        text = re.sub(r":(\w+):`", r"{\1}`", " ".join(meaning.split())).replace("|", "\\|")
        lines.append(f"| `{name}` | `{default}` | {text} |")
    return "\n".join(lines)


MODULES = [getattr(lightning_modules, name) for name in dir(lightning_modules)] + [
    visiontasks.MNISTDataModule,
    visiontasks.ShapesDataModule,
]
# Written before autodoc reads a module, which replaces defaults in its signatures by their text in the source.
TABLES = {module.__name__: table(own_arguments(module)) for module in MODULES if is_data_module(module)}


class DataArguments(SphinxDirective):
    """A table of the arguments of the data module that is named."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        found: list[nodes.Node] = self.parse_text_to_nodes(TABLES[self.arguments[0]])
        for node in found:
            for built in node.findall(nodes.table):
                built["classes"].append("arguments")
        return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("data-arguments", DataArguments)
    return {"parallel_read_safe": True}
