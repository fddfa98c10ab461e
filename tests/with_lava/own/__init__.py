"""Processes of a user's own: one that sends rows, and one that keeps what it receives.

They are in a folder of their own, since Lava's compiler executes every file in the folder of a
process.
"""

import time

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikebp_lava.memory import shared_array


class Replay(AbstractProcess):
    """Sends rows of shape (n_rows, n), one in each step, and begins again after the last.

    With a delay each step takes so many seconds; `steps` counts them.
    """

    def __init__(self, rows, delay=0.0):
        self.steps = shared_array(1, np.int64)
        super().__init__(rows=rows, delay=delay, steps=self.steps)
        self.s_out = OutPort(shape=rows.shape[1:])


class ReplayModel(PyLoihiProcessModel):
    def run_spk(self):
        rows = self.proc_params["rows"]
        time.sleep(self.proc_params["delay"])
        self.s_out.send(rows[(self.time_step - 1) % len(rows)].astype(self.number))
        self.proc_params["steps"][0] = self.time_step


@implements(proc=Replay, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReplayFloating(ReplayModel):
    number = float
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Replay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReplayFixed(ReplayModel):
    number = np.int64
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)


class Recorder(AbstractProcess):
    """Keeps the rows of shape (n,) that it receives, in memory that can be read at any time."""

    def __init__(self, n, n_rows):
        self.rows = shared_array((n_rows, n), np.float64)
        super().__init__(rows=self.rows)
        self.a_in = InPort(shape=(n,))


class RecorderModel(PyLoihiProcessModel):
    def run_spk(self):
        rows = self.proc_params["rows"]
        rows[(self.time_step - 1) % len(rows)] = self.a_in.recv()


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class RecorderFloating(RecorderModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderFixed(RecorderModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
