"""States in Brian2's ``store``: a network restores those of its own definition, as a whole."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from brian2 import Network
from brian2.devices.device import runtime_device

from spikebp_brian2.parts import NetworkOfParts
from spikebp_brian2.run_progress import refuse_in_run
from spikebp_brian2.variables import STEPS_PER_SAMPLE
from spikebp_plugins.network.checkpoint import differences


class StoredDefinition:
    """The base of a network whose definition Brian2 stores with the variables of its parts."""

    def _full_state(self: NetworkOfParts) -> dict[str, Any]:
        _refuse_in_run(self)
        self.check_finished()
        return {
            "net": self.net,
            "ends_by_event": self.ends_by_event,
            "steps_per_sample": self.constants[STEPS_PER_SAMPLE],
        }

    def _restore_from_full_state(self: NetworkOfParts, state: dict[str, Any]) -> None:
        net, changes = state["net"], ""
        same_rate = {"learning_rate": self.net.learning_rate, "fraction_bits": net.fraction_bits}
        if net.replace(**same_rate) != self.net:
            changes = differences(net, self.net)
        elif state["ends_by_event"] != self.ends_by_event:
            changes = "one of the two has a sample_end"
        if changes:
            raise ValueError(
                f"{self.name!r} cannot be restored to a state that was stored by another network: "
                f"{changes}"
            )
        self._define(net, state["steps_per_sample"])


def _refuse_in_run(mlp: NetworkOfParts) -> None:
    refuse_in_run(mlp, f"a state of {mlp.name!r} is stored, and restored, between runs")


def restore_whole_states() -> None:
    """Make Brian2 restore networks as a whole or not at all, from now on and in this process.

    It restores their objects one by one, in any order, and stops at the first that does not fit.
    """
    # Brian2 calls the method of this name of a device instead of its own.
    runtime_device.network_restore = _restore


def _restore(
    network: Network,
    name: str = "default",
    filename: str | None = None,
    restore_random_state: bool = False,
) -> None:
    restore = Network.restore.original_function
    ours: list[Any] = [one for one in network if isinstance(one, StoredDefinition)]
    if not ours:
        restore(network, name, filename, restore_random_state)
        return
    if filename is None:
        states = network._stored_state
    else:
        states = pickle.loads(Path(filename).read_bytes())
    for one in ours:
        _refuse_in_run(one)
        one.drop_run()
    before = network._full_state()
    try:
        for one in ours:
            if one.name in states[name]:
                one._restore_from_full_state(states[name][one.name])
        restore(network, name, filename, restore_random_state)
    except BaseException:
        network.t_ = before.pop("0_t")
        for one in (*network, *{one.clock for one in network}):
            if one.name in before:
                one._restore_from_full_state(before[one.name])
        raise
