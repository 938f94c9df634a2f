"""Tables, figures and pages, made from the store and the study's declaration alone.

Nothing here trains, and nothing here imports torch. The names below are loaded when they are
first used, so that importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlmbench.report.claims import judge_claims
    from qlmbench.report.compare import compare_folders, compare_runs
    from qlmbench.report.export import export_table
    from qlmbench.report.load import load_frame, load_results, load_runs
    from qlmbench.report.one_training import write_curves
    from qlmbench.report.reports import (
        check_report,
        load_page,
        load_pages,
        readme_with_results,
        site_files,
        study_files,
        write_report,
        write_site,
    )
    from qlmbench.report.site import build_site, sphinx_settings
    from qlmbench.report.terminal import terminal_summary

_HOMES = {
    "build_site": "site",
    "check_report": "reports",
    "compare_folders": "compare",
    "compare_runs": "compare",
    "export_table": "export",
    "judge_claims": "claims",
    "load_frame": "load",
    "load_page": "reports",
    "load_pages": "reports",
    "load_results": "load",
    "load_runs": "load",
    "readme_with_results": "reports",
    "site_files": "reports",
    "sphinx_settings": "site",
    "study_files": "reports",
    "terminal_summary": "terminal",
    "write_curves": "one_training",
    "write_report": "reports",
    "write_site": "reports",
}

__all__ = [
    "build_site",
    "check_report",
    "compare_folders",
    "compare_runs",
    "export_table",
    "judge_claims",
    "load_frame",
    "load_page",
    "load_pages",
    "load_results",
    "load_runs",
    "readme_with_results",
    "site_files",
    "sphinx_settings",
    "study_files",
    "terminal_summary",
    "write_curves",
    "write_report",
    "write_site",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
