"""Brian2's warning of synapses between two clocks, where there is nothing to be warned of."""

from __future__ import annotations

import logging
from typing import Final

from brian2.synapses.synapses import SynapticPathway

from spikebp_brian2.parts import Part


class Quiet(logging.Filter):
    """Drops the warning about synapses of a layer, on a clock of its own, that have no delay.

    Brian2 warns that their delays are rounded to the dt of the source. Zero stays zero.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the warning is shown."""
        message = record.getMessage()
        for reference in SynapticPathway.__instances__():
            pathway = reference()
            if pathway is None or f"'{pathway.name}'" not in message:
                continue
            ends = [getattr(end, "source", end) for end in (pathway.source, pathway.target)]
            if any(isinstance(end, Part) for end in ends):
                return bool(pathway.variables["delay"].get_value().any())
        return True


QUIET: Final = Quiet()


def be_quiet() -> None:
    """Drop the warning, from now on and in the whole process, where it says nothing."""
    logging.getLogger("brian2.synapses.synapses.synapses_dt_mismatch").addFilter(QUIET)
