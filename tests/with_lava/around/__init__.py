"""Processes around a network: neighbours of several kinds, and one that contains the network.

They are in a folder of their own, since Lava's compiler executes every file in the folder of a
process, and in the folders next to it.
"""

import time

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class FaultyProcess(AbstractProcess):
    """A source of one value that fails in a phase of one step, in which it first takes seconds."""

    def __init__(self, n_outputs, step, value=0.0, seconds=0.0, phase="spk"):
        values = np.full(n_outputs, value)
        super().__init__(values=values, step=step, seconds=seconds, phase=phase)
        self.s_out = OutPort(shape=(n_outputs,))


class FaultyProcessModel(PyLoihiProcessModel):
    def fails_in(self, phase):
        params = self.proc_params
        return params["phase"] == phase and params["step"] == self.time_step

    def fail(self):
        time.sleep(self.proc_params["seconds"])
        raise ZeroDivisionError("nothing can be divided by this source")

    def run_spk(self):
        if self.fails_in("spk"):
            self.fail()
        self.s_out.send(self.proc_params["values"].astype(self.number))

    # Lava asks for each phase whether the process takes part in it; the first is before learning.

    def pre_guard(self):
        return self.fails_in("pre_mgmt")

    def lrn_guard(self):
        return self.fails_in("lrn") or self.fails_in("pre_mgmt")

    def post_guard(self):
        return self.fails_in("post_mgmt")

    run_pre_mgmt = run_lrn = run_post_mgmt = fail


@implements(proc=FaultyProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class FaultyFloating(FaultyProcessModel):
    number = float
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=FaultyProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FaultyFixed(FaultyProcessModel):
    number = np.int64
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)


class PausingProcess(AbstractProcess):
    """A source of ones that asks for a pause in step 5."""

    def __init__(self, n_outputs):
        super().__init__(values=np.ones(n_outputs))
        self.s_out = OutPort(shape=(n_outputs,))


@implements(proc=PausingProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PausingProcessModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def run_spk(self):
        self._req_pause = self.time_step == 5
        self.s_out.send(self.proc_params["values"])


class Writer(AbstractProcess):
    """Writes zeros to a variable, after the first step."""

    def __init__(self, shape):
        super().__init__()
        self.weight = RefPort(shape)


@implements(proc=Writer, protocol=LoihiProtocol)
@requires(CPU)
class WriterModel(PyLoihiProcessModel):
    weight: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, float)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self.weight.write(np.zeros(self.weight._shape))


class EnclosingProcess(AbstractProcess):
    """A process that contains a network, and has some of its ports and variables."""

    def __init__(self, network, ports=("spikes_in", "label_in", "summed_drive_out")):
        super().__init__(network=network, ports=ports)
        self.spike_count_1 = Var(shape=network.spike_count_1.shape)
        self.net = network.net
        for name in ports:
            port = getattr(network, name)
            setattr(self, name, type(port)(shape=port.shape))


@implements(proc=EnclosingProcess, protocol=LoihiProtocol)
class EnclosingProcessModel(AbstractSubProcessModel):
    def __init__(self, proc):
        network = proc.proc_params["network"]
        self.network = network
        proc.spike_count_1.alias(network.spike_count_1)
        for name in proc.proc_params["ports"]:
            inside, outside = getattr(network, name), getattr(proc, name)
            if isinstance(outside, InPort):
                outside.connect(inside)
            else:
                inside.connect(outside)
