"""A former place of what is in `network.state`; it goes with version 0.2."""

from spikebp_plugins.network.state import LearningState, initial_state

__all__ = ["LearningState", "initial_state"]
