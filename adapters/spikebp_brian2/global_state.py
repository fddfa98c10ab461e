"""Brian2's process-wide state, borrowed for a while and given back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any, Final

from brian2 import Network, get_device, prefs, set_device
from brian2.devices.device import Device, reset_device, runtime_device

#: Brian2 has one device and one set of preferences for all threads.
LOCK: Final = RLock()


@contextmanager
def borrowed(device: Device, preferences: dict[str, Any]) -> Iterator[None]:
    """Make a device the active one and set preferences, until the block is left.

    Ctrl-C raises in the block, instead of ending a run as if all samples had been shown.

    Parameters
    ----------
    device : Device
        The device of the objects that are made or run in the block.
    preferences : dict
        Values of preferences by name.
    """
    with LOCK:
        preferences = {"core.stop_on_keyboard_interrupt": False} | preferences
        before = {name: prefs[name] for name in preferences}
        switched, running = device is not get_device(), Network._globally_running
        if switched:
            set_device(device, build_on_run=False)
        try:
            for name, value in preferences.items():
                prefs[name] = value
            yield
        finally:
            for name, value in before.items():
                prefs[name] = value
            # Brian2 takes an interrupted run for one under way, and ignores the next Ctrl-C.
            Network._globally_running = running
            if switched:
                reset_device()


def borrowed_runtime(target: str) -> AbstractContextManager[None]:
    """Return the context in which objects run in this process, by a target of Brian2's."""
    return borrowed(runtime_device, {"codegen.target": target})
