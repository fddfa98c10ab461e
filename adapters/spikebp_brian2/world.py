"""Brian2's process-wide state, borrowed for a while and given back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brian2 import get_device, prefs, set_device
from brian2.devices.device import Device, reset_device


@contextmanager
def borrowed(device: Device, preferences: dict[str, Any]) -> Iterator[None]:
    """Make a device the active one and set preferences, until the block is left.

    Parameters
    ----------
    device : Device
        The device of the objects that are made or run in the block.
    preferences : dict
        Values of preferences by name.
    """
    before = {name: prefs[name] for name in preferences}
    switched = device is not get_device()
    if switched:
        set_device(device, build_on_run=False)
    try:
        for name, value in preferences.items():
            prefs[name] = value
        yield
    finally:
        for name, value in before.items():
            prefs[name] = value
        if switched:
            reset_device()
