# The public names, and where each comes from. Tools read this file, and so does the package itself
# when a name is first asked for.

from .backends import UnsupportedError as UnsupportedError
from .backends import available_backends as available_backends
from .conversion import from_relu as from_relu
from .conversion import to_relu as to_relu
from .conversion import to_torch as to_torch
from .conversion import with_bias_input as with_bias_input
from .data.events import EVENT_DTYPE as EVENT_DTYPE
from .data.events import EventEncoder as EventEncoder
from .data.images import load_dataset as load_dataset
from .data.windows import WindowEncoder as WindowEncoder
from .embedded import to_c as to_c
from .estimators import SpikingMLPClassifier as SpikingMLPClassifier
from .estimators import SpikingMLPRegressor as SpikingMLPRegressor
from .network.checkpoint import Checkpoint as Checkpoint
from .network.connections import AveragePool2D as AveragePool2D
from .network.connections import Conv2D as Conv2D
from .network.connections import Dense as Dense
from .network.connections import Sparse as Sparse
from .network.definition import SpikingMLP as SpikingMLP
from .network.definition import SpikingNetwork as SpikingNetwork
from .network.operations import Operations as Operations
from .network.replay import ReplayBuffer as ReplayBuffer
from .simulation.simulator import Simulator as Simulator
from .simulation.stream import Stream as Stream
from .simulation.trace import Trace as Trace
