"""A camera that shows pictures."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Camera(AbstractProcess):
    """Shows each picture for `n_steps` steps, and sends its label."""

    def __init__(self, pictures, labels, n_steps):
        super().__init__(pictures=pictures, labels=labels, n_steps=n_steps)
        self.pixels_out = OutPort(shape=(pictures.shape[1],))
        self.label_out = OutPort(shape=(1,))


@implements(proc=Camera, protocol=LoihiProtocol)
@requires(CPU)
class CameraModel(PyLoihiProcessModel):
    """Sends whole numbers, which suit both tags, so that the model has no tag."""

    pixels_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    label_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def run_spk(self):
        """Send the pixels and the label of this step."""
        pictures, labels = self.proc_params["pictures"], self.proc_params["labels"]
        picture = (self.time_step - 1) // self.proc_params["n_steps"] % len(pictures)
        self.pixels_out.send(pictures[picture].astype(np.int64))
        self.label_out.send(labels[[picture]].astype(np.int64))
