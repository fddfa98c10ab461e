"""The network as estimators of scikit-learn."""

from spikebp_plugins.estimators.classifier import SpikingMLPClassifier
from spikebp_plugins.estimators.regressor import SpikingMLPRegressor

__all__ = ["SpikingMLPClassifier", "SpikingMLPRegressor"]
