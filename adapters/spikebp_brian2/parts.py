"""Brian2's groups and synapses as parts of a network: they run together with it, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from weakref import ReferenceType

from brian2 import Clock, NeuronGroup, Synapses
from brian2.devices.device import Device
from brian2.utils.stringtools import get_identifiers
from numpy.typing import NDArray

from spikebp_brian2.functions import FUNCTIONS
from spikebp_plugins.network.fields import Definition

#: Part and name of a variable.
VariableKey = tuple[str, str]


class NetworkOfParts(Protocol):
    """Protocol of a `SpikingMLPGroup`, as its parts and the modules that check them see it."""

    name: str
    net: Definition
    clock: Clock
    device: Device
    has_own_clock: bool
    _creation_stack: str
    ends_by_event: bool
    schedule: NeuronGroup
    layers: list[PartNeurons]
    synapses: list[PartSynapses]
    kernels: list[PartNeurons | None]
    parts: dict[str, Any]
    constants: dict[VariableKey, float]
    contained_objects: list[Any]

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """The weights W_1..W_L."""

    def admit(self, part: Any) -> None:
        """Let a part take part in a run, or raise RuntimeError."""

    def check_write(self, variable: Any) -> None:
        """Raise RuntimeError if a variable cannot be set now."""

    def check_finished(self) -> None:
        """Check a run that an error has ended, or undo it."""

    def _define(self, net: Definition, steps_per_sample: float) -> None:
        """Take a definition with another learning rate, and how many steps a sample takes."""


class Part:
    """The mixin of all parts of a network, for classes of Brian2.

    Attributes
    ----------
    group : weak reference to NetworkOfParts, or None
        The network that the part belongs to, which its parts do not keep alive. Brian2 warns of
        every object that has never run and has no group; so it warns of a network that has never
        run once, and not for each part.
    """

    name: str
    variables: Any
    events: dict[str, str]
    group: ReferenceType[NetworkOfParts] | None = None

    def before_run(self, run_namespace: Any = None) -> None:
        """Get ready for a run, which has to be one of the whole network; called by Brian2."""
        if self.group is not None:
            whole = self.group()
            if whole is None:
                raise RuntimeError(
                    f"{self.name!r} runs with the whole of its network alone, which is no longer "
                    "there: keep the network in sight of run()"
                )
            whole.admit(self)
        super().before_run(run_namespace)  # type: ignore[misc]

    def resolve_all(
        self,
        identifiers: Iterable[str],
        run_namespace: Mapping[str, Any],
        user_identifiers: Iterable[str] | None = None,
        additional_variables: Mapping[str, Any] | None = None,
    ) -> Any:
        """Resolve names in the code of the part; called by Brian2.

        The names in the conditions of events are ours, and so are functions that a script has for
        other code: no one has to be warned if a script uses the same name for something else.
        """
        of_user = set(identifiers if user_identifiers is None else user_identifiers)
        of_user -= set(get_identifiers(" ".join(self.events.values()))) & set(self.variables)
        self.refuse_names_of_rules(of_user)
        run_namespace = {name: it for name, it in run_namespace.items() if name not in FUNCTIONS}
        return super().resolve_all(  # type: ignore[misc]
            identifiers, run_namespace, of_user, additional_variables
        )

    def refuse_names_of_rules(self, names: Iterable[str]) -> None:
        """Refuse names in code of the user's that are those of functions of the rules.

        Raises
        ------
        ValueError
            If there is one: the function of the rules would be called instead of the user's.
        """
        if taken := FUNCTIONS.keys() & set(names):
            raise ValueError(
                f"{min(taken)!r} in code of {self.name!r} is a function of its rules: give a "
                "function of yours another name"
            )

    def check_variable_write(self, variable: Any) -> None:
        """Refuse to set a variable where that is not possible; called by Brian2."""
        if self.group is not None and (whole := self.group()) is not None:
            whole.check_write(variable)
        super().check_variable_write(variable)  # type: ignore[misc]

    def state(self, name: str, use_units: bool = True, level: int = 0) -> Any:
        """Return a variable, once it is known how the last run has ended; called by Brian2."""
        if self.group is not None and (whole := self.group()) is not None:
            whole.check_finished()
        return super().state(name, use_units, level)  # type: ignore[misc]


class PartNeurons(Part, NeuronGroup):
    """Neurons that are part of a network."""

    def __getitem__(self, item: Any) -> Any:
        """Return some of the neurons, whose events happen when those of all do.

        A monitor would else look for them where Brian2's groups fire: before the step.
        """
        some = super().__getitem__(item)
        object.__setattr__(some, "thresholder", self.thresholder)
        return some


class PartSynapses(Part, Synapses):
    """Synapses that are part of a network: those that it was made with.

    Attributes
    ----------
    kernel : PartNeurons or None
        The weights that the synapses share; None where each has its own.
    """

    kernel: PartNeurons | None = None

    def connect(self, *arguments: Any, **options: Any) -> None:
        """Make synapses; only the network may, when it is made.

        Raises
        ------
        RuntimeError
            If the network is made.
        """
        if self.group is not None:
            raise RuntimeError(
                f"{self.name!r} has the synapses that the definition of its network has; connect "
                "would make others"
            )
        super().connect(*arguments, **options)

    def __setattr__(self, key: str, value: Any, level: Any = 0) -> None:
        if self.kernel is not None and key in self.kernel.variables and key in self.equations.names:
            raise TypeError(
                f"{key!r} of {self.name!r} must be set where it is once for each weight, in "
                f"{self.kernel.name!r}: mlp.kernels[l - 1].{key}"
            )
        super().__setattr__(key, value, level=level + 1)


def whole_group(group: Any) -> Any:
    """Return the group that a subgroup is part of, or the group itself."""
    return getattr(group, "source", group)
