"""A spiking network that learns by backpropagation, defined once and the same on every back end.

The algorithm is that of "Deep Spiking Networks" (P. O'Connor and M. Welling, 2016,
arXiv:1602.08323).

Each name is imported when it is first asked for, so that the command line can say something of
Ctrl-C before it has imported anything.
"""

# Like the one of `typing`, which is not imported here: it would take longer than all the rest.
TYPE_CHECKING = False

if TYPE_CHECKING:
    # What tools read. At run time the table below says the same.
    from spikebp_plugins.backends import (
        Backend,
        EarlyPrediction,
        UnsupportedError,
        available_backends,
    )
    from spikebp_plugins.conversion import from_relu, to_relu, to_torch, with_bias_input
    from spikebp_plugins.conversion.quantized import QuantizedWeights, quantized_weights
    from spikebp_plugins.data.aer import EventRecordings, load_nmnist, read_aer
    from spikebp_plugins.data.events import EVENT_DTYPE, EventEncoder
    from spikebp_plugins.data.filter_bank import speech_features
    from spikebp_plugins.data.images import Dataset, load_dataset
    from spikebp_plugins.data.speech import SpokenDigits, load_fsdd
    from spikebp_plugins.embedded import CProgram, from_state_bytes, to_c, to_state_bytes
    from spikebp_plugins.estimators import SpikingMLPClassifier as SpikingMLPClassifier
    from spikebp_plugins.estimators import SpikingMLPRegressor as SpikingMLPRegressor
    from spikebp_plugins.network.checkpoint import Checkpoint, averaged, load
    from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense, Sparse
    from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
    from spikebp_plugins.network.operations import Operations
    from spikebp_plugins.network.replay import ReplayBuffer
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
    from spikebp_plugins.simulation.warmup import warmup

__all__ = [
    "EVENT_DTYPE",
    "AveragePool2D",
    "Backend",
    "CProgram",
    "Checkpoint",
    "Conv2D",
    "CoreLimits",
    "Dataset",
    "Dense",
    "Difference",
    "EarlyPrediction",
    "EventEncoder",
    "EventRecordings",
    "HardwareReport",
    "Operations",
    "QuantizedWeights",
    "ReplayBuffer",
    "Simulator",
    "Sparse",
    "SpikingMLP",
    "SpikingNetwork",
    "SpokenDigits",
    "Stream",
    "Trace",
    "UnsupportedError",
    "available_backends",
    "averaged",
    "compare",
    "from_relu",
    "from_state_bytes",
    "hardware_report",
    "incremental_dot_product",
    "incremental_outer_product",
    "load",
    "load_dataset",
    "load_fsdd",
    "load_nmnist",
    "quantized_weights",
    "read_aer",
    "rectified_spiking_quantization",
    "speech_features",
    "spiking_stream_quantization",
    "spiking_vector_quantization",
    "to_c",
    "to_relu",
    "to_state_bytes",
    "to_torch",
    "warmup",
    "with_bias_input",
]

#: The module that each public name comes from. Estimators are not in ``__all__``, because to load
#: scikit-learn takes a second: only who asks for them waits.
_NAMES = {
    "backends": ("Backend", "EarlyPrediction", "UnsupportedError", "available_backends"),
    "conversion": ("from_relu", "to_relu", "to_torch", "with_bias_input"),
    "conversion.quantized": ("QuantizedWeights", "quantized_weights"),
    "data.aer": ("EventRecordings", "load_nmnist", "read_aer"),
    "data.events": ("EVENT_DTYPE", "EventEncoder"),
    "data.filter_bank": ("speech_features",),
    "data.images": ("Dataset", "load_dataset"),
    "data.speech": ("SpokenDigits", "load_fsdd"),
    "embedded": ("CProgram", "from_state_bytes", "to_c", "to_state_bytes"),
    "estimators": ("SpikingMLPClassifier", "SpikingMLPRegressor"),
    "network.checkpoint": ("Checkpoint", "averaged", "load"),
    "network.connections": ("AveragePool2D", "Conv2D", "Dense", "Sparse"),
    "network.definition": ("SpikingMLP", "SpikingNetwork"),
    "network.operations": ("Operations",),
    "network.replay": ("ReplayBuffer",),
    "rules.quantization": (
        "incremental_dot_product",
        "incremental_outer_product",
        "rectified_spiking_quantization",
        "spiking_stream_quantization",
        "spiking_vector_quantization",
    ),
    "simulation.core_limits": ("CoreLimits",),
    "simulation.hardware_report": ("HardwareReport", "hardware_report"),
    "simulation.simulator": ("Simulator",),
    "simulation.stream": ("Stream",),
    "simulation.trace": ("Difference", "Trace", "compare"),
    "simulation.warmup": ("warmup",),
}

if not TYPE_CHECKING:  # to tools it would say that any name is there

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for place, names in _NAMES.items():
            if name in names:
                found = getattr(import_module(f"{__name__}.{place}"), name)
                globals()[name] = found
                return found
        # A room is there without an import of its own, with its files that public names come from.
        files = [place for place in _NAMES if place.split(".")[0] == name]
        if not files:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for place in files:
            import_module(f"{__name__}.{place}")
        return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for names in _NAMES.values() for name in names)})
