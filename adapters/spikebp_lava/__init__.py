"""The network as Lava processes, and a back end made of them.

`SpikingMLPProcess` goes into a graph of yours, with `SampleSource` and `ScoreSink` where you need
them; ``Simulator(net, backend="lava")`` needs no graph.
"""

try:
    import lava.magma.core.process.process as _lava  # noqa: F401
except RuntimeError as error:
    raise RuntimeError(
        "Lava sets the start method of multiprocessing itself, and fails where it has been set; "
        "import it before that"
    ) from error
except ImportError as error:
    raise ImportError(
        "spikebp_lava needs Lava, which exists for Python 3.10 alone; there, install it with: "
        "pip install 'spikebp-plugins[lava]'"
    ) from error

from spikebp_lava.processes.network import SpikingMLPProcess
from spikebp_lava.processes.samples import SampleSource, ScoreSink

__all__ = ["SampleSource", "ScoreSink", "SpikingMLPProcess"]
