"""Warnings about a network, each given once, and a filter of one of Brian2's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
from brian2 import Quantity, TimedArray, get_logger
from brian2.synapses.synapses import SynapticPathway

from spikebp_brian2.parts import NetworkOfParts, Part, whole_group
from spikebp_brian2.presented_samples import PresentedSamples
from spikebp_brian2.timing import mistimed
from spikebp_plugins.network.delays import delays_of

#: Samples after which a layer that has never fired is worth a warning.
SILENT_SAMPLES: Final = 100

logger = get_logger("spikebp_brian2.group")


class Notices:
    """Warnings of a network, each of which is given once, with the line that made the network.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network.
    """

    def __init__(self, mlp: NetworkOfParts) -> None:
        self._mlp = mlp
        self._given: set[str] = set()

    def _warn(self, about: str, kind: str, message: str) -> None:
        if about not in self._given:
            self._given.add(about)
            made = f"{self._mlp.name!r} was made here:\n{self._mlp._creation_stack}"
            logger.warn(f"{message}\n{made}", kind)

    def leave_out(self, about: str) -> None:
        """Never give a warning."""
        self._given.add(about)

    def of_times(self, timed: Mapping[str, TimedArray], step: Quantity, end: float) -> None:
        """Warn of a TimedArray that does not follow steps and samples, or is over too soon."""
        net = self._mlp.net
        n_steps = None if self._mlp.ends_by_event else delays_of(net).duration(net.n_steps)
        for name, given in timed.items():
            if (warning := mistimed(name, given, step, n_steps, end)) is not None:
                self._warn(name, "timed_array", warning)

    def of_silence(self) -> None:
        """Warn of a layer that has never fired."""
        shown = int(self._mlp.schedule.samples_shown[0])
        if "silence" in self._given or shown < SILENT_SAMPLES:
            return
        silent = [not np.any(layer.spikes_sent[:]) for layer in self._mlp.layers[:-1]]
        if any(silent):
            l = silent.index(True)
            remedy = "larger input or input_scale" if l == 0 else "larger weights or more steps"
            self._warn(
                "silence",
                "silent_layer",
                f"layer {l} of {self._mlp.name!r} has fired no spike in {shown} samples, so that "
                f"nothing reaches the layers above; it may need {remedy}",
            )

    def of_undone_run(self, end: int) -> None:
        """Warn that what a run has taught is lost, which an error has ended within a step."""
        self._warn(
            f"run that has ended at {end}",
            "undone_run",
            f"{self._mlp.name!r} is as it was before the last run, which an error has ended in the "
            "middle of a step",
        )

    def of_nothing(self, presented: PresentedSamples) -> None:
        """Warn of a run that went on when the presented samples were over."""
        shown = self._mlp.schedule.samples_shown[0] - (presented.shown_before or 0)
        if presented.number > 0 and shown > presented.n_samples:
            self._warn(
                f"presentation {presented.number}",
                "nothing_presented",
                f"{self._mlp.name!r} has been run for {int(shown)} samples since "
                f"{presented.n_samples} were presented; the others had no input and no label",
            )


def drop_zero_delays() -> None:
    """Drop the warning about synapses of a layer, on a clock of its own, that have no delay.

    Brian2 warns, in the whole process, that delays are rounded to the dt of the source. Zero stays
    zero.
    """
    logging.getLogger("brian2.synapses.synapses.synapses_dt_mismatch").addFilter(_is_of_delays)


def _is_of_delays(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    for reference in SynapticPathway.__instances__():
        pathway = reference()
        if pathway is None or f"'{pathway.name}'" not in message:
            continue
        ends = [whole_group(end) for end in (pathway.source, pathway.target)]
        if any(isinstance(end, Part) for end in ends):
            return bool(pathway.variables["delay"].get_value().any())
    return True
