"""The network as Lava processes, and a back end made of them.

`SpikingMLPProcess` goes into a graph of yours, with `SampleSource` and `ScoreSink` where you need
them; ``Simulator(net, backend="lava")`` needs no graph. `StandardMLP` is made of Lava's own
synapses.
"""

import multiprocessing as _multiprocessing

# Lava sets the start method "fork", the default here, and fails if a method is set already. Making
# a lock, of a progress bar for example, sets the default; so it is unset here.
if _multiprocessing.get_start_method(allow_none=True) == "fork":
    _multiprocessing.set_start_method(None, force=True)

try:
    import lava.magma.core.process.process as _lava  # noqa: F401
except RuntimeError as error:
    raise RuntimeError(
        "Lava needs the start method 'fork' of multiprocessing, which it sets itself; "
        f"got {_multiprocessing.get_start_method()!r}"
    ) from error
except ImportError as error:
    raise ImportError(
        "spikebp_lava needs Lava, which exists for Python 3.10 alone, and is not installed: "
        "pip install 'spikebp-plugins[lava]'"
    ) from error

from spikebp_lava.processes.network import (
    PySpikingMLPModelFixed,
    PySpikingMLPModelFloat,
    SpikingMLPProcess,
)
from spikebp_lava.processes.samples import SampleSource, ScoreSink
from spikebp_lava.processes.standard import StandardMLP, SubStandardMLPModel

__all__ = [
    "PySpikingMLPModelFixed",
    "PySpikingMLPModelFloat",
    "SampleSource",
    "ScoreSink",
    "SpikingMLPProcess",
    "StandardMLP",
    "SubStandardMLPModel",
]
