"""What processes and their models have in common: variables, names of ports, and any depth."""

from __future__ import annotations

import re
from abc import ABCMeta
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import LogConfig, ProcessPostInitCaller
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spikebp_lava.watch import at_rest
from spikebp_plugins.common.errors import wrong_argument

Array = NDArray[Any]


class SharedVar(Var):  # type: ignore[misc]
    """A variable that is read and written at once, without a message for each number.

    Parameters
    ----------
    read : callable
        Returns the values, as the process models of the graph hold them.
    write : callable or None, default=None
        Checks new values, and writes them.
    """

    def __init__(
        self, read: Callable[[], Array], write: Callable[[Array], None] | None = None
    ) -> None:
        super().__init__(shape=read().shape, init=0)
        self._read, self._write = read, write

    def get(self, idx: Any = None) -> Array:
        """Return a copy of the values."""
        with at_rest(self.process):
            values = self._read().copy()
        return values if idx is None else values[idx]

    def set(self, value: Any, idx: Any = None) -> None:
        """Write other values."""
        if self._write is None:
            raise RuntimeError(f"variable {self.name!r} can only be read")
        values = np.asarray(value)
        with at_rest(self.process):
            if idx is not None:
                whole = self._read()
                # In a type that holds both: integers would cut off the fractions of other numbers.
                whole = whole.astype(np.result_type(whole, values))
                whole[idx] = values
                values = whole
            self._write(values)


class SeenVar(Var):  # type: ignore[misc]
    """A variable that follows from what happens in a step: it can be read and not written."""

    def set(self, value: Any, idx: Any = None) -> None:
        """Refuse the value."""
        raise RuntimeError(f"variable {self.name!r} can only be read")


class WithPortsOfLava:
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


class InSharedMemory:
    """A process model some of whose variables lie in shared memory, or in arrays of its own.

    Lava assigns copies of the initial values to the variables of a model; bound variables ignore
    that. A RefPort would write by assignment too: it gets an error, instead of being ignored.
    """

    def bind(self, **arrays: Array) -> None:
        """Bind variables to these arrays."""
        for name, array in arrays.items():
            setattr(self, name, array)
        self.__dict__.setdefault("_bound", set()).update(arrays)

    def start(self) -> None:
        """Begin to serve the runtime."""
        self.__dict__["_has_started"] = True
        super().start()  # type: ignore[misc]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_bound", ()):
            if "_has_started" in self.__dict__:
                raise RuntimeError(
                    f"a RefPort can read {name} but not write it; between runs, set() can"
                )
            return
        super().__setattr__(name, value)


class ProcessOfAnyDepth(ProcessPostInitCaller):  # type: ignore[misc]
    """The class of a class of processes that is one for the user, and for Lava one for each depth.

    A run configuration looks up the class of a process among those that the user has named. There,
    and wherever else classes are compared, the class for a depth equals the one that the user
    knows, which it names as `_of_any_depth`.
    """

    def __eq__(self, other: object) -> bool:
        return self is other or _of_any_depth(self) is other or _of_any_depth(other) is self

    def __hash__(self) -> int:
        return type.__hash__(_of_any_depth(self))


def _of_any_depth(cls: Any) -> Any:
    return vars(cls).get("_of_any_depth", cls) if isinstance(cls, type) else cls


class ModelOfAnyNetwork(ABCMeta):
    """The class of process models with variables that only some of their processes have.

    They are those whose names match the pattern `optional` of the model, and are arrays of its type
    `number`. Lava demands that a process has the variables that its model lists; these are not
    listed, but found where a process has them.
    """

    def __getattr__(cls, name: str) -> Any:
        if re.fullmatch(cls.optional, name):
            return LavaPyType(np.ndarray, cls.number)
        raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}")


def define_model(
    namespace: dict[str, Any],
    name: str,
    base: type,
    process: type,
    *tags: str,
    **members: Any,
) -> None:
    """Add a process model to the module in which Lava looks for it.

    Parameters
    ----------
    namespace : dict
        The names of the module in which `process` is defined.
    name : str
        The name of the model.
    base : type
        The class that says what the model does.
    process : type
        The class of the processes that the model implements.
    *tags : str
        The tags of the model.
    **members
        Types of the model's variables and ports, and other members.
    """
    inherited = {"__module__": namespace["__name__"], "__doc__": base.__doc__}
    model = type(name, (base,), inherited | members)
    for decorate in (implements(proc=process, protocol=LoihiProtocol), requires(CPU), tag(*tags)):
        model = decorate(model)
    namespace[name] = model
