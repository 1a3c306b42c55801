"""Settings of the site."""

import sys
from math import ceil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from visiontasks import __version__

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "visiontasks"
author = "The visiontasks authors"
copyright = "The visiontasks authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "data_arguments",
    "lecture_results",
    "reference_pages",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"visiontasks {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

# Blocks without a language are drawings and listings of files, which nobody copies. From the others the button takes
# what is typed: of a session with prompts its commands, without their prompts.
highlight_language = "text"
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"
copybutton_prompt_text = r">>> |\.\.\. ?|\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]

# What a class inherits is documented where it comes from.
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


def measure_drawings(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Tell site.css how wide a drawing is: in classes such as ``columns-60``, for lines of 41 to 60 characters."""
    for block in tree.findall(nodes.literal_block):
        columns = 20 * ceil(max(map(len, block.astext().splitlines()), default=0) / 20)
        if block.get("language", highlight_language) == "text" and columns > 40:
            block["classes"].append(f"columns-{columns}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the above."""
    app.connect("autodoc-skip-member", skip_field)
    app.connect("doctree-resolved", measure_drawings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
