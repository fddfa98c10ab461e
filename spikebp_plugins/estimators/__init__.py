"""The network as estimators of scikit-learn."""

from spikebp_plugins.estimators import in_c as in_c  # registers how a classifier becomes a program
from spikebp_plugins.estimators.classifier import SpikingMLPClassifier
from spikebp_plugins.estimators.regressor import SpikingMLPRegressor

__all__ = ["SpikingMLPClassifier", "SpikingMLPRegressor"]
