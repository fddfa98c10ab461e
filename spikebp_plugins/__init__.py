"""A spiking network that learns by backpropagation, defined once and the same on every back end.

The algorithm is that of "Deep Spiking Networks" (P. O'Connor and M. Welling, 2016,
arXiv:1602.08323).
"""

from typing import TYPE_CHECKING, Any

from spikebp_plugins.backends import Backend, EarlyPrediction, UnsupportedError, available_backends
from spikebp_plugins.conversion import from_relu, to_relu, to_torch, with_bias_input
from spikebp_plugins.conversion.quantized import QuantizedWeights, quantized_weights
from spikebp_plugins.data.aer import EventRecordings, Recordings, load_nmnist, read_aer
from spikebp_plugins.data.events import EVENT_DTYPE, EventEncoder
from spikebp_plugins.data.images import Dataset, load_dataset
from spikebp_plugins.network.checkpoint import Checkpoint, averaged, load
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.rules.quantization import (
    incremental_dot_product,
    incremental_outer_product,
    rectified_spiking_quantization,
    spiking_stream_quantization,
    spiking_vector_quantization,
)
from spikebp_plugins.simulation.core_limits import CoreLimits
from spikebp_plugins.simulation.hardware_report import HardwareReport, hardware_report
from spikebp_plugins.simulation.simulator import Simulator
from spikebp_plugins.simulation.stream import Stream
from spikebp_plugins.simulation.trace import Difference, Trace, compare

if TYPE_CHECKING:
    from spikebp_plugins.estimators import SpikingMLPClassifier as SpikingMLPClassifier
    from spikebp_plugins.estimators import SpikingMLPRegressor as SpikingMLPRegressor

__all__ = [
    "EVENT_DTYPE",
    "Backend",
    "Checkpoint",
    "CoreLimits",
    "Dataset",
    "Difference",
    "EarlyPrediction",
    "EventEncoder",
    "EventRecordings",
    "HardwareReport",
    "Operations",
    "QuantizedWeights",
    "Recordings",
    "Simulator",
    "SpikingMLP",
    "Stream",
    "Trace",
    "UnsupportedError",
    "available_backends",
    "averaged",
    "compare",
    "from_relu",
    "hardware_report",
    "incremental_dot_product",
    "incremental_outer_product",
    "load",
    "load_dataset",
    "load_nmnist",
    "quantized_weights",
    "read_aer",
    "rectified_spiking_quantization",
    "spiking_stream_quantization",
    "spiking_vector_quantization",
    "to_relu",
    "to_torch",
    "with_bias_input",
]

#: Not in ``__all__``, because to load scikit-learn takes a second: only who asks for them waits.
_ESTIMATORS = ("SpikingMLPClassifier", "SpikingMLPRegressor")


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        from spikebp_plugins import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS})
