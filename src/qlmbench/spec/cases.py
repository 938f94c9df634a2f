"""Arms that a study declares many at once: one template, one arm a case."""

from __future__ import annotations

from typing import Any


def expand_cases(arm: object) -> list[object]:
    """Write out an arm with ``cases``: one arm a case, ``{key}`` filled in, the case in params."""
    if not isinstance(arm, dict) or "cases" not in arm:
        return [arm]
    template = {k: v for k, v in arm.items() if k != "cases"}
    cases = arm["cases"]
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError(f"cases of arm {arm.get('name')!r} must be a list of tables")
    if not isinstance(template.get("params", {}), dict):
        raise ValueError(f"params of arm {arm.get('name')!r} must be a table")
    try:
        return _written_out(template, cases)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"arm {arm.get('name')!r}: no case gives {error}") from None


def _written_out(template: dict[str, Any], cases: list[dict[str, Any]]) -> list[object]:
    return [
        {k: v.format(**case) if isinstance(v, str) else v for k, v in template.items()}
        | {"params": {**template.get("params", {}), **case}}
        for case in cases
    ]
