"""Sphinx's configuration: `make docs` builds the site with warnings as errors."""

from importlib.metadata import version as version_of

project = "Kukulkan"
author = "the Kukulkan contributors"
copyright = author
version = release = version_of("kukulkan")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nitpicky = True
exclude_patterns = ["_build"]
highlight_language = "python"

html_theme = "furo"
html_title = f"Kukulkan {release}"
