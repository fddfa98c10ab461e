"""Conversion with one spike for 1, so that scores are those of the ReLU network."""

from functools import partial

import spikebp_plugins

#: Ten steps, and other fields from the table of defaults.
from_relu = partial(spikebp_plugins.from_relu, n_steps=10, spikes_per_unit=1)
