"""A judge of what a network answers."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


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
    """Drives arrive as whole numbers of units of 2^-f."""

    drive_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.unit = proc_params["unit"]
