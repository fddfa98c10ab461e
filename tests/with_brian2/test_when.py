"""What the guide says may be read and set before, between and within runs: its two tables."""

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from brian2 import Network, NetworkOperation, SpikeMonitor

from spikebp_brian2 import SpikingMLPGroup
from tests.with_brian2.experiment import DT, NET, SAMPLE, Experiment

X, Y = np.zeros((2, 9)), [0, 1]

#: What a script may do at any time: the values are those of now, or of samples that are over.
ALWAYS = {
    "checkpoint": lambda s: s.mlp.checkpoint(),
    "weights": lambda s: s.mlp.weights,
    "predict": lambda s: s.mlp.predict(X),
    "accuracy": lambda s: s.mlp.accuracy(X, Y),
    "potential": lambda s: s.mlp.layers[1].potential[:],
    "scores": lambda s: s.mlp.scores,
    "operations": lambda s: s.mlp.operations,
    "monitor": lambda s: s.monitor.spike_count[:],
    "set input_value": lambda s: setattr(s.mlp.input_layer, "input_value", 0),
    "set received_input": lambda s: setattr(s.mlp.input_layer, "received_input", 0),
    "set label": lambda s: setattr(s.mlp.schedule, "label", 1),
    "set schedule.learning": lambda s: setattr(s.mlp.schedule, "learning", True),
    "set target_value": lambda s: setattr(s.mlp.output_layer, "target_value", 0),
    "set received_target": lambda s: setattr(s.mlp.output_layer, "received_target", 0),
    "set learning": lambda s: setattr(s.mlp, "learning", True),
    "set recording": lambda s: setattr(s.mlp, "recording", True),
}

#: What it may do except in a run.
BETWEEN_RUNS = {
    "counts": lambda s: s.mlp.counts(s.monitor),
    "trace": lambda s: s.mlp.trace(),
    "set learning_rate": lambda s: setattr(s.mlp, "learning_rate", 0.1),
    "store": lambda s: s.network.store(),
    "restore": lambda s: s.network.restore("at first"),
    "set potential": lambda s: setattr(s.mlp.layers[1], "potential", 0.5),
}

#: What it may do where no sample is half shown.
BETWEEN_SAMPLES = {
    "present": lambda s: s.mlp.present(X, Y),
    "set weights": lambda s: setattr(s.mlp, "weights", s.mlp.weights),
    "set weight": lambda s: setattr(s.mlp.synapses[0], "weight", 0.5),
    "begin": lambda s: s.mlp.begin(s.mlp.checkpoint().state),
}

NEVER = {
    "set units_per_one": lambda s: setattr(s.mlp.layers[1], "units_per_one", 3),
    "set net": lambda s: setattr(s.mlp, "net", NET),
}


class Script:
    """A network that learns, and what happens if the script does something at the end of a dt."""

    def __init__(self):
        experiment = Experiment(NET)
        self.mlp = SpikingMLPGroup(NET, experiment.weights)
        self.mlp.record()
        self.monitor = SpikeMonitor(self.mlp.layers[1], variables=["spike_count"])
        self.refusals, self._does = {}, {}
        self.network = Network(
            self.mlp, self.monitor, NetworkOperation(self._do_in_run, when="end", order=9)
        )
        self.network.store("at first")
        self.duration = self.mlp.present(experiment.x, experiment.y)

    def try_(self, actions):
        """Return the classes of errors of what is refused."""
        found = {}
        for name, action in actions.items():
            try:
                action(self)
            except Exception as error:
                found[name] = type(error)
        return found

    def _do_in_run(self):
        self.refusals |= self.try_(self._does)

    def run(self, duration, actions=()):
        self._does = actions or {}
        self.network.run(duration)
        self._does = {}


def refused(actions, error=RuntimeError):
    return dict.fromkeys(actions, error)


@pytest.mark.parametrize("is_first", [pytest.param(True, marks=pytest.mark.thorough), False])
def test_between_samples_all_is_allowed_that_ever_is(is_first):
    script = Script()
    if not is_first:
        script.run(SAMPLE)
    most = ALWAYS | BETWEEN_RUNS | BETWEEN_SAMPLES
    assert script.try_(most) == {}
    assert set(script.try_(NEVER)) == set(NEVER)


@pytest.mark.thorough
def test_in_the_middle_of_a_sample_what_it_learns_stays():
    script = Script()
    script.run(SAMPLE + 3 * DT)
    before = script.mlp.checkpoint()
    assert script.try_(BETWEEN_SAMPLES) == refused(BETWEEN_SAMPLES)
    assert script.try_(ALWAYS | BETWEEN_RUNS) == {}
    assert script.mlp.checkpoint() != before  # restored to the beginning


@pytest.mark.thorough
def test_what_a_run_refuses_changes_nothing():
    experiment, script = Experiment(NET), Script()
    not_in_run = BETWEEN_RUNS | BETWEEN_SAMPLES
    reads = {name: do for name, do in ALWAYS.items() if not name.startswith("set")}
    script.run(script.duration, not_in_run | reads)
    assert script.refusals == refused(not_in_run)
    experiment.assert_learned_by(script.mlp)


@pytest.mark.thorough
@pytest.mark.parametrize("part", ["mlp", "schedule"])
def test_what_is_set_in_a_run_holds_from_the_next_step(part):
    script = Script()
    owner = script.mlp if part == "mlp" else script.mlp.schedule
    script.run(SAMPLE, ALWAYS | {"stop": lambda _: setattr(owner, "learning", False)})
    script.run(SAMPLE)
    assert script.refusals == {}
    assert script.mlp.checkpoint().state.samples_seen == 1  # it has learned in its first step
    assert not script.mlp.learning
