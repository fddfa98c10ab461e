"""Variables, names of ports, and tags of processes and their models."""

from __future__ import annotations

import re
from abc import ABCMeta
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import LogConfig
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, FLOATING
from spikebp_lava.runtime import at_rest
from spikebp_plugins.common.errors import REALS, array_of, wrong_argument

Array = NDArray[Any]
Model = TypeVar("Model")

#: The numbers of ports and variables that hold values, by tag, and those that synapses exchange.
VALUES: Final = {FLOATING: float, FIXED: np.int64}
MESSAGES: Final = {FLOATING: float, FIXED: np.int32}


class SharedVar(Var):  # type: ignore[misc]
    """A variable that is read and written at once, without a message for each number.

    Parameters
    ----------
    read : callable
        Returns the values, as the process models of the graph hold them.
    write : callable
        Checks new values, and writes those at an index.
    """

    def __init__(self, read: Callable[[], Array], write: Callable[[Array, Any], None]) -> None:
        super().__init__(shape=read().shape, init=0)
        self._read, self._write = read, write

    def get(self, idx: Any = None) -> Array:
        """Return a copy of the values."""
        with at_rest(self.process):
            values = self._read().copy()
        return values if idx is None else values[idx]

    def set(self, value: Any, idx: Any = None) -> None:
        """Write other values.

        Raises
        ------
        ValueError
            If they are no real numbers, masked, or not such as the variable takes.
        """
        values = array_of(self.name, value, REALS, "real numbers")
        with at_rest(self.process):
            if idx is not None:
                whole = self._read()
                # In a type that holds both: integers would cut off the fractions of other numbers.
                whole = whole.astype(np.result_type(whole, values))
                whole[idx] = values
                values = whole
            self._write(values, ... if idx is None else idx)


class ReadOnlyVar(Var):  # type: ignore[misc]
    """A variable that follows from what happens in a step: it can be read and not written."""

    def set(self, value: Any, idx: Any = None) -> None:
        """Refuse the value."""
        raise RuntimeError(f"variable {self.name!r} can only be read")


class LavaPortNames:
    """A process whose ports have second names: those that Lava's own processes give to theirs.

    They are found as attributes without being any, since Lava takes each attribute that holds a
    port for a port of its own.
    """

    #: The names of ports by their second names.
    _ports_of_lava: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        if name in type(self)._ports_of_lava:
            return getattr(self, type(self)._ports_of_lava[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def checked_log_config(value: Any) -> Any:
    """Return a configuration of Lava's logging, or None."""
    if value is not None and not isinstance(value, LogConfig):
        raise wrong_argument("log_config", "a LogConfig of Lava or None", repr(value))
    return value


def model_of(process: type, kind: str) -> Callable[[Model], Model]:
    """Return a decorator that makes a class the model of a process on the CPU, for a tag.

    Parameters
    ----------
    process : type
        The class of the process.
    kind : str
        The tag, "floating_pt" or "fixed_pt", which the model has as `kind` too.
    """

    def decorate(model: Any) -> Any:
        model.kind = kind
        return implements(proc=process, protocol=LoihiProtocol)(requires(CPU)(tag(kind)(model)))

    return decorate


def models_of(process: type, base: Any) -> list[Any]:
    """Return the models of a process, one for each tag, which differ in nothing but their tag.

    Lava finds them among the names of the module in which the process is.
    """
    names = {"__module__": base.__module__}
    return [
        model_of(process, kind)(type(base)(f"{base.__name__}_{kind}", (base,), names))
        for kind in (FLOATING, FIXED)
    ]


class NetworkModelMeta(ABCMeta):
    """The class of process models whose variables and ports depend on the network and on the tag.

    Lava looks up the type of each as an attribute of the model's class. Here `types` has them, by
    patterns that the whole of a name matches: the kind of port or variable, and its numbers, for
    all tags or by tag.
    """

    types: Mapping[str, tuple[Any, Any]] = MappingProxyType({})

    def __getattr__(cls, name: str) -> Any:
        for pattern, (port, numbers) in cls.types.items():
            if re.fullmatch(pattern, name):
                return LavaPyType(port, numbers[cls.kind] if isinstance(numbers, dict) else numbers)
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


class NetworkModel(PyLoihiProcessModel, metaclass=NetworkModelMeta):  # type: ignore[misc]
    """The base of all process models."""

    kind: ClassVar[str]
