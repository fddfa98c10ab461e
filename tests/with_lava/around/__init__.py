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
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikebp_lava import StandardMLP


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
    """A process that contains a network."""

    def __init__(self, network):
        super().__init__(network=network)
        self.spikes_in = InPort(shape=(network.net.n_inputs,))
        self.label_in = InPort(shape=(1,))
        self.summed_drive_out = OutPort(shape=(network.net.n_outputs,))


@implements(proc=Enclosing, protocol=LoihiProtocol)
class EnclosingModel(AbstractSubProcessModel):
    def __init__(self, proc):
        network = proc.proc_params["network"]
        for number, part in enumerate(parts_of(network)):
            setattr(self, f"part_{number}", part)
        proc.spikes_in.connect(network.spikes_in)
        proc.label_in.connect(network.label_in)
        network.summed_drive_out.connect(proc.summed_drive_out)


def parts_of(network):
    """The processes of a network, which is none itself if it consists of standard parts."""
    if not isinstance(network, StandardMLP):
        return [network]
    synapses = [part for part in (*network.forward, *network.backward) if part is not None]
    return [network.keeper, *network.neurons, *synapses]
