"""The command ``spikebp backends``."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from spikebp_plugins.backends.base import Option
from spikebp_plugins.backends.registry import available_backends, get_backend
from spikebp_plugins.cli.options import Json
from spikebp_plugins.cli.output import one_line, print_json, print_table


def backends(as_json: Json = False) -> None:
    """List the installed back ends, their options, and whether they can run."""
    found = {name: _describe(point) for name, point in available_backends().items()}
    if as_json:
        print_json(found)
        return
    rows = [
        (name, b["distribution"] or "-", _options(b["options"]), b["state"])
        for name, b in found.items()
    ]
    print_table("Back ends", ("name", "distribution", "options", "state"), rows)


def _describe(point: EntryPoint) -> dict[str, Any]:
    options: dict[str, Any] = {}
    try:
        cls = get_backend(point.name)
    except Exception as error:
        # An error of one back end, perhaps a third party's, must not hide the others.
        state = one_line(error)
    else:
        state = cls.lack() or "ready"
        options = {
            name: str(rule) if isinstance(rule, Option) else list(rule)
            for name, rule in cls.options.items()
        }
    return {
        "distribution": point.dist.name if point.dist is not None else None,
        "options": options,
        "state": state,
    }


def _options(options: dict[str, Any]) -> str:
    def words(rule: Any) -> str:
        return rule if isinstance(rule, str) else "|".join(map(str, rule))

    return "\n".join(f"{name}={words(rule)}" for name, rule in options.items())
