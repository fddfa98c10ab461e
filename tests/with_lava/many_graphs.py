"""Start, run, read, set and stop many short graphs, beside processes that keep the machine busy.

    python -m tests.with_lava.many_graphs 3000 --busy 2 --parallel 2

The graphs are of all forms in turn, and each is compared with what it must learn. None may hang: if
one takes longer than two minutes, the program prints all stacks and ends.
"""

import argparse
import faulthandler
import multiprocessing
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from tqdm import tqdm

from spikebp_lava import EngineMLP, SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from spikebp_plugins import Checkpoint
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.step_oracle import with_weights
from tests.with_lava.graphs import N_SAMPLES, NET, TAGS, Samples, assert_same_state, configuration

#: Seconds after which a graph hangs.
TIME_LIMIT = 120

FORMS = ("leaf", "sample", "hierarchical", "standard")


class Short:
    """A short graph of one form and tag, which is made and played again and again."""

    def __init__(self, form, tag):
        self.form, self.tag = form, tag
        self.is_engine = (form, tag) == ("standard", "fixed_pt")
        net = NET.replace(timing="pipelined") if form == "standard" else NET
        net = net.replace(arithmetic="loihi2") if self.is_engine else net
        self.samples = Samples(net)
        if self.is_engine:  # its traces have no sign
            self.samples.x = abs(self.samples.x)
        self.start = Checkpoint(net, initial_state(net, self.samples.weights))
        self.per_sample = 1 if form == "sample" else steps_of_sample(net, net.n_steps)
        self.states = self._by_engine() if self.is_engine else self._by_reference()

    def _by_reference(self):
        """Return the states after each of two runs, between which a matrix is set."""
        x, y, states = self.samples.x, self.samples.y, []
        checkpoint = self.start
        for _ in range(2):
            with checkpoint.simulate("reference") as sim:
                sim.train(x, y)
                checkpoint = sim.checkpoint()
            states.append(checkpoint.state)
            changed = with_weights(checkpoint.state, 2, self._halved(checkpoint.state))
            checkpoint = Checkpoint(self.start.net, changed)
        return states

    def _halved(self, state):
        """Return half of W_2, on the grid."""
        return arithmetic_of(self.start.net).round(state.weights[1] / 2)

    def _by_engine(self):
        model, states = EngineMLP(self.start), []
        for _ in range(2):
            model.train(self.samples.x, self.samples.y)
            states.append(model.state)
            model.state = with_weights(model.state, 2, self._halved(model.state))
        return states

    def play(self, number):
        """Make the graph, run it twice, and let another of its processes stop it each time."""
        samples, net = self.samples, self.start.net
        options = {"granularity": "sample"} if self.form == "sample" else {}
        if self.form == "standard":
            mlp = StandardMLP(self.start)
        else:
            mlp = SpikingMLPProcess(self.start, **options)
        source = SampleSource(net, samples.x, samples.y, **options)
        sink = ScoreSink(net, N_SAMPLES, **options)
        source.spikes_out.connect(mlp.spikes_in)
        source.label_out.connect(mlp.label_in)
        mlp.summed_drive_out.connect(sink.summed_drive_in)
        whole = RunSteps(num_steps=N_SAMPLES * self.per_sample)
        mlp.run(whole, configuration(self.tag, self.form))
        self._assert_reached(mlp, self.states[0])
        mlp.spike_count_1.get()  # by messages of Lava's, one for each number
        is_in_units = self.tag == "fixed_pt" and not self.is_engine
        unit = 2.0**net.fraction_bits if is_in_units else 1
        mlp.weight_2.set(self._halved(self.states[0]) * unit)
        (source, sink, mlp)[number % 3].run(whole)
        self._assert_reached(mlp, self.states[1])
        (mlp, source, sink)[number % 3].stop()
        self._assert_reached(mlp, self.states[1])

    def _assert_reached(self, mlp, state):
        if not self.is_engine:
            assert_same_state(mlp.checkpoint(), state)
            return
        # Weights of the engine have one bit more than a checkpoint.
        for l, (found, wanted) in enumerate(zip(mlp.weights, state.weights, strict=True), 1):
            assert np.array_equal(found, wanted), f"weight_{l}"


def spin():
    while True:
        pass


@contextmanager
def busy(n):
    """Keep n cores busy."""
    processes = [multiprocessing.Process(target=spin, daemon=True) for _ in range(n)]
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.kill()


def play_all(numbers, place):
    """Play graphs of all forms in turn; return the seconds of the longest."""
    shorts, longest = [Short(form, tag) for form in FORMS for tag in TAGS], 0.0
    for number in tqdm(numbers, position=place):
        faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
        begin = time.monotonic()
        shorts[number % len(shorts)].play(number)
        longest = max(longest, time.monotonic() - begin)
        faulthandler.cancel_dump_traceback_later()
    return longest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=int, help="how many")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep a core busy each")
    parser.add_argument("--parallel", type=int, default=1, help="programs that share the graphs")
    parser.add_argument("--share", type=int, default=0, help="which of them this is, from 0 on")
    given = parser.parse_args()
    begin = time.monotonic()
    with busy(given.busy):
        command = [sys.executable, "-m", "tests.with_lava.many_graphs", str(given.graphs)]
        command += ["--parallel", str(given.parallel)]
        is_first = given.share == 0
        others = range(1, given.parallel) if is_first else ()
        started = [subprocess.Popen([*command, "--share", str(share)]) for share in others]
        longest = play_all(range(given.share, given.graphs, given.parallel), given.share)
        codes = [process.wait() for process in started]
    seconds = time.monotonic() - begin
    share = len(range(given.share, given.graphs, given.parallel))
    print(f"{share} graphs ended in {seconds:.0f} s; the longest took {longest:.1f} s")
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
