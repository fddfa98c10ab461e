"""An event camera, which sends the events of each step as spike counts."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class EventCamera(AbstractProcess):
    """Sends the spike counts of each step, and the label of the sample to which the step belongs.

    Time begins with the first step; each sample lasts for `n_steps` steps.
    """

    def __init__(self, encoder, events, labels, n_steps):
        super().__init__(encoder=encoder, events=events, labels=labels, n_steps=n_steps)
        self.counts_out = OutPort(shape=(encoder.n_inputs,))
        self.label_out = OutPort(shape=(1,))


@implements(proc=EventCamera, protocol=LoihiProtocol)
@requires(CPU)
class EventCameraModel(PyLoihiProcessModel):
    """Sends whole numbers, which suit both tags, so that the model has no tag."""

    counts_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    label_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def run_spk(self):
        """Send the spike counts and the label of this step."""
        encoder, events = self.proc_params["encoder"], self.proc_params["events"]
        step = self.time_step - 1  # Lava counts from 1
        begin, end = step * encoder.step, (step + 1) * encoder.step
        first, last = np.searchsorted(events["t"], [begin, end])
        self.counts_out.send(encoder.encode(events[first:last], n_steps=1, start=begin)[0])
        sample = step // self.proc_params["n_steps"]
        self.label_out.send(self.proc_params["labels"][[sample]])
