"""Settings of the site."""

from typing import Any

from sphinx.application import Sphinx

from visiontasks import __version__

project = "visiontasks"
author = "The visiontasks authors"
copyright = "The visiontasks authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
html_theme = "furo"
html_title = f"visiontasks {__version__}"

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]

# A page for every module, from its docstrings; what it inherits is documented where it comes from.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def skip_field(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:  # noqa: ANN401 - Sphinx's
    """Leave out the fields of NamedTuples as members: the class docstring describes them."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Register the above."""
    app.connect("autodoc-skip-member", skip_field)
