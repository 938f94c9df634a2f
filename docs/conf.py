"""Settings of the documentation, and the pages that are written before it is built."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from qlmbench.report.site import sphinx_settings

GENERAL = ("genindex", "py-modindex", "search")
DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import generated  # noqa: E402 - stands beside this file

shared = sphinx_settings()
globals().update(shared)

extensions = [*shared["extensions"], "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
html_math_renderer = "mathml"  # Sphinx's own fetches a script from another host
exclude_patterns = [*shared["exclude_patterns"], "examples"]
templates_path: list[str] = []

html_favicon = "_static/icon.svg"
html_css_files = [*shared["html_css_files"], "docs.css"]
html_js_files = ["name-toggles.js"]
# Only the guide and the reference have pages beside each other.
html_sidebars: dict[str, list[str]] = {
    **{page: [] for page in ("index", "get-started", "results/**", *GENERAL)},
    **{page: ["sidebar-nav-bs"] for page in ("guide/**", "notebooks/**", "reference/**")},
}
html_theme_options: dict[str, Any] = {
    **shared["html_theme_options"],
    "logo": {
        "text": "qlmbench",
        "image_light": "_static/icon.svg",
        "image_dark": "_static/icon.svg",
    },
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# One backtick in a docstring names an object of this package, or is plain code.
default_role = "py:obj"
nitpick_ignore_regex = [
    # Types of other packages, and docstrings' words for types: there is no network to look them up.
    ("py:.*", r"(?!qlmbench\.).*"),
]
nb_render_markdown_format = "myst"  # a table in an output is a table
# A docstring's word for a type may be the name of several attributes; such a word needs no link.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures say it, and the docstring says it with shapes and units
autodoc_default_options = {
    "members": True,
    "exclude-members": "model_config, model_post_init, set_fit_request, set_score_request",
}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app: Sphinx) -> None:
    """Write the generated pages before Sphinx looks for its sources."""
    app.add_config_value("qlmbench_results", "../results", "env", types=frozenset({str}))
    app.connect("builder-inited", _generate)
    app.connect("autodoc-process-docstring", _quote_kets)


def _generate(app: Sphinx) -> None:
    generated.write_all(DOCS, (DOCS / app.config.qlmbench_results).resolve())


def _quote_kets(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Write |1,0> as code: reStructuredText would take the bar for the start of a substitution."""
    lines[:] = [re.sub(r"(?<!`)\|([\d,]+)>", r"``|\1>``", line) for line in lines]
