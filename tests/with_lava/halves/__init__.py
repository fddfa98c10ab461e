"""A process of a user's, alone in its folder: Lava executes every file beside that of a process."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Halves(AbstractProcess):
    """Sends one half, under both tags."""

    def __init__(self, shape):
        super().__init__()
        self.s_out = OutPort(shape)


@implements(proc=Halves, protocol=LoihiProtocol)
@requires(CPU)
class HalvesModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def run_spk(self):
        self.s_out.send(np.full(self.s_out._shape, 0.5))
