"""Brian2's groups and synapses as parts of a network: they run together with it, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from brian2 import NeuronGroup, Synapses
from brian2.utils.stringtools import get_identifiers

from spikebp_brian2.functions import FUNCTIONS

if TYPE_CHECKING:
    from spikebp_brian2.group import SpikingMLPGroup


class Part:
    """What all parts of a network have in common; it is mixed into Brian2's classes.

    Attributes
    ----------
    group : SpikingMLPGroup
        The network that the part belongs to. Brian2 warns of every object that has never run and
        has no group; so it warns of a network that has never run once, and not for each part.
    """

    group: SpikingMLPGroup | None = None

    def before_run(self, run_namespace: Any = None) -> None:
        """Get ready for a run, which has to be one of the whole network; called by Brian2."""
        if self.group is not None:
            self.group.admit(self)
        super().before_run(run_namespace)  # type: ignore[misc]


class PartSynapses(Part, Synapses):  # type: ignore[misc]
    """Synapses that are part of a network."""


class PartNeurons(Part, NeuronGroup):  # type: ignore[misc]
    """Neurons that are part of a network."""

    def resolve_all(
        self,
        identifiers: Iterable[str],
        run_namespace: Mapping[str, Any],
        user_identifiers: Iterable[str] | None = None,
        additional_variables: Mapping[str, Any] | None = None,
    ) -> Any:
        """Find what names stand for.

        The names in the conditions of events are ours, and so are our functions in code of ours: no
        one has to be warned if a script uses the same name for something else.
        """
        of_user = set(identifiers if user_identifiers is None else user_identifiers)
        conditions = " ".join(self.events.values())
        of_user -= set(get_identifiers(conditions)) & set(self.variables)
        ours = FUNCTIONS.keys() - of_user
        run_namespace = {name: it for name, it in run_namespace.items() if name not in ours}
        return super().resolve_all(identifiers, run_namespace, of_user, additional_variables)
