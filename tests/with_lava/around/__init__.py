"""Processes around a network: a neighbour that fails, and one that contains the network.

They are in a folder of their own, since Lava's compiler executes every file beside a process.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Faulty(AbstractProcess):
    """A source of one value that fails at one step."""

    def __init__(self, n_outputs, step, value=0.0):
        super().__init__(values=np.full(n_outputs, value), step=step)
        self.s_out = OutPort(shape=(n_outputs,))


@implements(proc=Faulty, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FaultyModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def run_spk(self):
        if self.time_step == self.proc_params["step"]:
            raise ZeroDivisionError("nothing can be divided by this source")
        self.s_out.send(self.proc_params["values"])


class Enclosing(AbstractProcess):
    """A process that contains a network, and has variables of it for its own."""

    def __init__(self, network):
        super().__init__(network=network)
        self.spike_count_1 = Var(shape=network.spike_count_1.shape)
        self.spikes_in = InPort(shape=(network.net.n_inputs,))
        self.label_in = InPort(shape=(1,))
        self.summed_drive_out = OutPort(shape=(network.net.n_outputs,))


@implements(proc=Enclosing, protocol=LoihiProtocol)
class EnclosingModel(AbstractSubProcessModel):
    def __init__(self, proc):
        network = proc.proc_params["network"]
        self.network = network
        proc.spike_count_1.alias(network.spike_count_1)
        proc.spikes_in.connect(network.spikes_in)
        proc.label_in.connect(network.label_in)
        network.summed_drive_out.connect(proc.summed_drive_out)
