"""A web site of results: a small Sphinx project around the generated pages."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qlmbench.errors import UserError
from qlmbench.report.write import write_changed

NEEDED = ("sphinx", "myst_nb", "pydata_sphinx_theme", "sphinx_copybutton", "sphinx_design")
CONF = '''\
"""Settings of a generated site."""

from qlmbench.report.site import sphinx_settings

globals().update(sphinx_settings())
'''
CSS = """\
/* Results are tables and figures: they may use the whole width of the window. */
.bd-page-width { max-width: 96rem; }
.bd-main .bd-content .bd-article-container { max-width: 68rem; }
.bd-article table { font-size: .875em; font-variant-numeric: tabular-nums; }
/* Words wrap, numbers do not; a table that is still too wide scrolls in its own box. */
.bd-article table th { vertical-align: bottom; }
.bd-article table td { white-space: normal; }
.bd-article table td.text-left:first-child { min-width: 11rem; }
.bd-article table td.text-right { white-space: nowrap; }
.bd-article .sd-badge { font-weight: 600; white-space: nowrap; }
.bd-article img { height: auto; max-width: 52rem; }
"""


def sphinx_settings() -> dict[str, Any]:
    """Return the settings that every Sphinx site of this project shares.

    Returns
    -------
    dict
        Names and values as they stand in a ``conf.py``.
    """
    return {
        "project": "qlmbench",
        "author": "The qlmbench developers",
        "copyright": "The qlmbench developers",
        "extensions": ["myst_nb", "sphinx_design", "sphinx_copybutton"],
        "myst_enable_extensions": ["colon_fence", "deflist", "dollarmath"],
        "myst_heading_anchors": 3,
        # Generated pages name a price or a shell variable now and then: only $$ starts a formula.
        "myst_dmath_allow_space": False,
        "nb_execution_mode": "off",
        "html_theme": "pydata_sphinx_theme",
        "html_title": "qlmbench",
        "html_show_sourcelink": False,
        # Without it the theme reports an error to the browser's console on a first visit.
        "html_context": {"default_mode": "auto"},
        "html_copy_source": False,
        "html_static_path": ["_static"],
        "html_css_files": ["qlmbench.css"],
        # The header and the list of headings lead everywhere; a third navigation would be empty.
        "html_sidebars": {"**": []},
        "html_theme_options": {
            "navbar_end": ["theme-switcher"],
            "secondary_sidebar_items": ["page-toc"],
            "show_prev_next": False,
            "footer_start": ["copyright"],
            "footer_end": [],
        },
        "copybutton_prompt_text": "$ ",
        "exclude_patterns": ["_build", "jupyter_execute"],
    }


def build_site(pages: dict[str, str], out: Path) -> Path:
    """Build a site of generated pages.

    Parameters
    ----------
    pages : dict
        Text by path: Markdown, figures and downloads; ``index.md`` must be among them.
    out : Path
        Folder of the site; its ``source`` holds the Sphinx project, its ``html`` the pages.

    Returns
    -------
    Path
        ``index.html``.

    Raises
    ------
    UserError
        If Sphinx or one of its extensions is not installed, or the build fails.

    Notes
    -----
    A site whose sources, settings and builder have not changed is not built again.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"a site needs {', '.join(missing)}", do="install it with: pip install 'qlmbench[docs]'"
        )
    source, html = out / "source", out / "html"
    files = pages | {"conf.py": CONF, "_static/qlmbench.css": CSS}
    built, digest = out / "built", _digest(files)
    index = html / "index.html"
    if index.exists() and built.exists() and built.read_text(encoding="utf-8") == digest:
        return index
    built.unlink(missing_ok=True)
    shutil.rmtree(source, ignore_errors=True)
    write_changed(source, files)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(source), str(html)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"the site was not built: {lines[0]}", do=f"see {source}")
    built.write_text(digest, encoding="utf-8")
    return index


def _digest(files: dict[str, str]) -> str:
    """Hash all that a built site depends on: its sources, its settings, the builder's versions."""
    versions = [version(name) for name in ("sphinx", "pydata-sphinx-theme", "myst-nb")]
    everything = json.dumps([files, sphinx_settings(), versions], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()
