"""The network in river: one sample at a time, features and classes as they come.

Needs river: ``pip install "spikebp-plugins[river]"``.
"""

try:
    import river  # noqa: F401
except ImportError as error:
    raise ImportError(
        'the estimators for river need river: pip install "spikebp-plugins[river]"'
    ) from error

from spikebp_plugins.river.stream_classifier import SpikingMLPClassifier
from spikebp_plugins.river.stream_regressor import SpikingMLPRegressor

__all__ = ["SpikingMLPClassifier", "SpikingMLPRegressor"]
