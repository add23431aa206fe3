"""Sphinx configuration: Markdown pages, and reference pages from docstrings and from the command line itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from reference_pages import write_reference

import exegesis

project = "exegesis"
author = "the exegesis authors"
project_copyright = "the exegesis authors, Apache-2.0"
version = release = exegesis.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
default_role = "code"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"exegesis {version}"

write_reference(Path(__file__).parent / "reference" / "_generated")
