"""Finds back ends by their entry points, and loads each only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from spikebp_plugins.backends.base import Backend, Option, UnsupportedError, refused_kind
from spikebp_plugins.common.errors import choice, one_of, wrong_argument
from spikebp_plugins.common.notice import say_once
from spikebp_plugins.network.fields import Definition

GROUP: Final = "spikebp_plugins.backends"

#: The default back end, and the one that replaces it where its engine is missing.
DEFAULT: Final = "compiled"
STAND_IN: Final = "reference"


def available_backends() -> dict[str, EntryPoint]:
    """Return the entry points of all installed back ends by name, without loading any."""
    # The key is needed: once a package has loaded the backport of importlib.metadata, its entry
    # points may come together with those of the standard library, and the two do not compare.
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in points}


def get_backend(name: str) -> type[Backend]:
    """Load a back end.

    Parameters
    ----------
    name : str
        Its name in the entry-point group ``spikebp_plugins.backends``.

    Raises
    ------
    ValueError
        If no installed distribution offers it.
    ImportError
        If it is installed but what it needs is not.
    TypeError
        If the entry point is not a subclass of `Backend`.
    """
    points = available_backends()
    name = choice("backend", name, points)
    cls = points[name].load()
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise TypeError(f"back end {name!r} must be a subclass of Backend; got {cls!r}")
    return cls


def parse_backend(text: str) -> tuple[str, dict[str, str]]:
    """Split the one-word form of a back end into its name and options.

    Parameters
    ----------
    text : str
        ``"name"``, ``"name:value"`` for the back end's main option, or
        ``"name:option=value,option=value"``.

    Returns
    -------
    name : str
        The name of the back end.
    options : dict of str
        Its options, not yet checked.

    Raises
    ------
    ValueError
        If the text has another form, or a bare value is given to a back end without a main option.

    Examples
    --------
    >>> parse_backend("compiled")
    ('compiled', {})
    """
    if not isinstance(text, str):
        raise wrong_argument("backend", "a name", repr(text))
    name, colon, rest = text.partition(":")
    if not colon:
        return name, {}
    options = {}
    for part in rest.split(","):
        option, equals, value = part.partition("=")
        if not equals:
            main, value = get_backend(name).main_option, option
            if main is None:
                raise wrong_argument("backend", f"'{name}' or '{name}:option=value'", repr(text))
            option = main
        options[option] = value
    return name, options


def refused_definition(
    cls: type[Backend], net: Definition, options: Mapping[str, Any]
) -> str | None:
    """Return why a back end cannot run a definition, or None if it can."""
    refusal = refused_kind(net, cls.choices, cls.connections)
    return refusal or cls.unsupported(net, **options)


def backend_for(
    net: Definition, backend: str | None, options: Mapping[str, Any]
) -> tuple[str, type[Backend], dict[str, Any]]:
    """Find the back end that is to run a definition.

    Parameters
    ----------
    net : Definition
        The definition.
    backend : str or None
        Name of an installed back end, with options behind a colon if any. None takes "compiled", or
        "reference" where the engine in C is missing, which is said once.
    options : mapping of str
        Further options, which take precedence.

    Returns
    -------
    name : str
        The name of the back end.
    cls : type
        The back end.
    options : dict of str
        All of its options, checked.

    Raises
    ------
    ValueError
        If the name or an option is not allowed.
    UnsupportedError
        If the back end cannot run the definition; the message says why.
    ImportError
        If the back end needs a package that is not installed.
    """
    name, parsed = (DEFAULT, {}) if backend is None else parse_backend(backend)
    cls = get_backend(name)
    checked = check_options(cls, name, parsed | dict(options))
    if backend is None and (lack := cls.lack()) is not None:
        stand_in = get_backend(STAND_IN)
        if refused_definition(stand_in, net, {}) is None:
            say_once(f"{lack}; back end {STAND_IN!r} runs instead, some hundred times slower")
            return STAND_IN, stand_in, {}
    if (reason := refused_definition(cls, net, checked)) is not None:
        raise UnsupportedError(f"back end {name!r} cannot run this network: {reason}")
    return name, cls, checked


def check_options(cls: type[Backend], name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a back end, the defaults included.

    Raises
    ------
    ValueError
        If an option is unknown or has a value that is not allowed.
    """
    settled: dict[str, Any] = {}
    for option, value in options.items():
        if option not in cls.options:
            allowed = one_of(cls.options) if cls.options else "left out: there are none"
            raise wrong_argument(f"an option of back end {name!r}", allowed, repr(option))
        rule, full_name = cls.options[option], f"{option} of back end {name!r}"
        if isinstance(rule, Option):
            settled[option] = rule.parse(full_name, value)
        else:
            settled[option] = choice(full_name, value, rule)
    defaults = {
        option: None if isinstance(rule, Option) else rule[0]
        for option, rule in cls.options.items()
    }
    return defaults | settled
