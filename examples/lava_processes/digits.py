"""A camera that shows pictures, and a judge of the answers."""

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


class Judge(AbstractProcess):
    """Compares what the network says at the end of each sample with the label.

    `right` counts right answers, `judged` counts all samples, and `scores` holds the scores of the
    last samples.
    """

    def __init__(self, net, n_kept):
        super().__init__(n_steps=net.n_steps, unit=2.0**-net.fraction_bits)
        self.drive_in = InPort(shape=(net.n_outputs,))
        self.label_in = InPort(shape=(1,))
        self.right = Var(shape=(1,), init=0)
        self.judged = Var(shape=(1,), init=0)
        self.scores = Var(shape=(n_kept, net.n_outputs), init=0)


class JudgeModel(PyLoihiProcessModel):
    """The part of the judge's models that both tags share."""

    label_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    right: np.ndarray = LavaPyType(np.ndarray, np.int64)
    judged: np.ndarray = LavaPyType(np.ndarray, np.int64)
    scores: np.ndarray = LavaPyType(np.ndarray, float)
    unit = 1.0

    def run_spk(self):
        """Look at the last step of each sample."""
        drive, label = self.drive_in.recv(), self.label_in.recv()[0]
        n_steps = self.proc_params["n_steps"]
        if self.time_step % n_steps == 0:
            self.scores[self.judged[0] % len(self.scores)] = drive * self.unit / n_steps
            self.judged += 1
            self.right += drive.argmax() == label


@implements(proc=Judge, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FloatingJudgeModel(JudgeModel):
    """Drives arrive as real numbers."""

    drive_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)


@implements(proc=Judge, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FixedJudgeModel(JudgeModel):
    """Drives arrive as whole numbers of grid units."""

    drive_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.unit = proc_params["unit"]
