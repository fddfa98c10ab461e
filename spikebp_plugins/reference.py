"""A former place of what is in `rules.step` and `rules.sample`; it goes with version 0.2."""

from spikebp_plugins.rules.sample import *  # noqa: F403
from spikebp_plugins.rules.step import *  # noqa: F403
