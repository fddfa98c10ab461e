"""A process that receives and sends messages, and does nothing else."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

IN_PORTS, OUT_PORTS = ("in_1", "in_2"), ("out_1", "out_2")


class Relay(AbstractProcess):
    """Receives and sends in a given order: pairs of a port's name and the size of its messages."""

    def __init__(self, *order, n_values=1):
        super().__init__(order=[name for name, _ in order])
        sizes = dict(order)
        for names, port in ((IN_PORTS, InPort), (OUT_PORTS, OutPort)):
            for name in names:
                setattr(self, name, port(shape=(sizes.get(name, 1),)))
        self.values = Var(shape=(n_values,))


@implements(proc=Relay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRelayModel(PyLoihiProcessModel):
    """The model of a relay."""

    in_1 = in_2 = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    out_1 = out_2 = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    values = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.order = proc_params["order"]

    def run_spk(self):
        for name in self.order:
            port = getattr(self, name)
            if name in IN_PORTS:
                port.recv()
            else:
                port.send(np.zeros(port._shape, np.int64))
