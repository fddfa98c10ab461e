"""The graph of Lava's own synapses equals the reference, and in fixed_pt the engine's model."""

import os
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.learning.learning_rule_applier import LearningRuleApplierBitApprox
from lava.magma.core.model.py.connection import LearningConnectionModelBitApproximate
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense, LearningDense
from lava.proc.io.source import RingBuffer as Sender
from lava.utils.weightutils import SignMode, clip_weights

from spikebp_lava import EngineMLP, SampleSource, ScoreSink, StandardMLP, engine
from spikebp_lava.engine import EngineRate
from spikebp_lava.processes import neurons
from spikebp_lava.processes.keeper import KeeperModel
from spikebp_lava.standard import graph as standard_graph
from spikebp_plugins import (
    Checkpoint,
    Simulator,
    SpikingMLP,
    Trace,
    UnsupportedError,
    compare,
    load_dataset,
)
from spikebp_plugins.compiled import fallback as backed
from spikebp_plugins.conformance import CASES, ConformanceTest, TracesDifferError
from spikebp_plugins.conformance.checks import CHECKS, training_equals_reference
from spikebp_plugins.conformance.suite import unsupported_reason
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules.step import backward
from tests import shares
from tests.core.experiment import Experiment, assert_equals_reference
from tests.core.strategies import experiments
from tests.profiles import examples
from tests.with_lava.graphs import assert_same_state

BACKEND = "lava:tag=floating_pt,implementation=standard"
SUPPORTED = [case for case in CASES if unsupported_reason(BACKEND, case) is None]

#: Every case is trained; of the other checks each is done with some cases, or with all.
WHOLE = "SPIKEBP_WHOLE_SUITE" in os.environ
SUITE = [
    ConformanceTest(BACKEND, check, case)
    for i, case in enumerate(SUPPORTED)
    for j, check in enumerate(CHECKS)
    if WHOLE or check is training_equals_reference or (i + j) % 3 == 0
]


@pytest.mark.parametrize(
    "conformance_test",
    [pytest.param(test, id=str(test), marks=shares.marks(test)) for test in SUITE],
)
def test_conformance(conformance_test):
    assert conformance_test.run() is None


def test_the_suite_has_what_such_a_graph_is_made_of():
    for name, values in {
        "n_layers": {1, 3, 5},
        "update": {"fractional", "outer"},
        "spikes": {"graded", "binary"},
        "feedback": {"transpose", "random"},
        "backward_init": {"carry", "uniform"},
        "arithmetic": {"fixed", "float64"},
    }.items():
        assert {getattr(case.net, name) for case in SUPPORTED} >= values


@settings(max_examples=examples(6), suppress_health_check=list(HealthCheck))
@given(
    experiment=experiments(
        magnitudes=(0.1, 1.0, 10.0, 2.0**41),
        max_depth=4,
        max_steps=6,
        timing="pipelined",
        presynaptic="counts",
        arithmetic="fixed",
        updates=("fractional", "outer"),
    )
)
def test_random_experiments_equal_the_reference(experiment):
    assert_equals_reference(experiment, BACKEND)


@pytest.mark.parametrize(
    "feedback", ["transpose", pytest.param("random", marks=pytest.mark.thorough)]
)
def test_digits_are_learned_as_by_the_reference(feedback):
    data = load_dataset("digits", raw=True)
    net = SpikingMLP(
        (64, 30, 20, 10),
        learning_rate=0.1,
        timing="pipelined",
        input_scale=data.input_scale,
        feedback=feedback,
    )
    x, y = data.x_train[:40], data.y_train[:40]
    with Simulator(net, BACKEND) as sim, Simulator(net, "reference") as ref:
        for first, last in ((0, 25), (25, 40)):
            part = x[first:last], y[first:last]
            assert compare(sim.train(*part, record=True), ref.train(*part, record=True)) is None
            shown = sim.predict(data.x_test[:5], record=True)
            assert compare(shown, ref.predict(data.x_test[:5], record=True)) is None
        assert sim.operations == ref.operations


@pytest.mark.thorough
def test_mnist_is_learned_as_by_the_reference():
    if "SPIKEBP_DATA" not in os.environ:
        pytest.skip("SPIKEBP_DATA names no folder with MNIST")
    data = load_dataset("mnist", raw=True)
    net = SpikingMLP((784, 200, 200, 10), timing="pipelined", input_scale=data.input_scale)
    x, y = data.x_train[:12], data.y_train[:12]
    with Simulator(net, BACKEND) as sim, Simulator(net, "reference") as ref:
        assert compare(sim.train(x, y, record=True), ref.train(x, y, record=True)) is None


def test_a_network_goes_from_the_reference_into_the_graph_and_back():
    case = SUPPORTED[0]
    data = case.data()
    with Simulator(case.net, "reference", case.weights()) as sim:
        sim.train(data.x, data.y)
        checkpoint = sim.checkpoint()
        for _ in range(2):
            sim.train(data.x, data.y)
        expected = sim.checkpoint().state
    for name in (BACKEND, "reference"):
        with checkpoint.simulate(name) as sim:
            sim.train(data.x, data.y)
            checkpoint = sim.checkpoint()
    assert_same_state(checkpoint, expected)


def test_samples_may_be_longer_than_a_run(monkeypatch):
    monkeypatch.setattr(standard_graph, "STEPS_PER_RUN", 5)
    case = next(case for case in SUPPORTED if "changing input" in case.feature)
    data = case.data()
    assert_equals_reference(Experiment(case.net, case.weights(), *data), BACKEND)


def test_what_cannot_be_proved_exact_is_computed_by_the_core(monkeypatch):
    """Synapses of Lava's own add up doubles, and say nothing when one rounds."""
    case = SUPPORTED[0]
    weights, x = case.weights(), case.data().x
    # These two cancel in every step, and might not have been exact on the way.
    weights[0][0] = 2.0 ** (50 - case.net.fraction_bits)
    weights[0][1] = -weights[0][0]
    x[:, 0] = x[:, 1] = 1
    computed = Mock(wraps=backed._core)
    monkeypatch.setattr(backed, "_core", computed)
    with Simulator(case.net, BACKEND, weights) as sim:
        shown = sim.predict(x, record=True)
        assert computed.call_count == 1
        operations = sim.operations
    with Simulator(case.net, "reference", weights) as ref:
        assert compare(shown, ref.predict(x, record=True)) is None
        assert operations == ref.operations


#: As a chip would have it: no negative input, and numbers of few bits.
CHIP = SpikingMLP(
    (9, 8, 7, 3),
    n_steps=7,
    learning_rate=0.1,
    timing="pipelined",
    arithmetic="loihi2",
    weight_exponent=-7,
    input_scale=0.25,
)
FIXED_NETS = {
    "1 layer of weights": CHIP.replace(layer_sizes=(9, 3)),
    "2 layers of weights": CHIP.replace(layer_sizes=(9, 8, 3)),
    "3 layers of weights": CHIP,
    "4 layers of weights": CHIP.replace(layer_sizes=(9, 8, 7, 5, 3)),
    "binary spikes": CHIP.replace(spikes="binary"),
    "random feedback": CHIP.replace(feedback="random"),
    "potentials drawn": CHIP.replace(backward_init="uniform", seed=3),
    "potentials zeroed": CHIP.replace(backward_init="zero"),
    "other exponents": CHIP.replace(weight_exponent=-5, fraction_bits=9),
    "a small rate": CHIP.replace(learning_rate=0.01),
    "traces that are full": CHIP.replace(learning_rate=0.002, input_scale=10.0),
    "messages that are full": CHIP.replace(learning_rate=0.002, input_scale=40.0),
}


class Line:
    """A source, a graph and a sink, with weights and samples with which all layers spike."""

    def __init__(self, net, n_samples=6, **options):
        random = np.random.RandomState(1)
        weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
        self.net, self.start = net, Checkpoint(net, initial_state(net, weights))
        self.x = random.randint(0, 8, (n_samples, net.n_inputs))
        self.y = random.randint(0, net.n_outputs, n_samples)
        self.period = steps_of_sample(net, net.n_steps)
        n_rows = n_samples * self.period
        self.mlp = StandardMLP(self.start, n_rows=n_rows, **options)
        self.mlp.shared.switches.recording[0] = True
        source = SampleSource(net, self.x, self.y)
        self.sink = ScoreSink(net, n_samples)
        source.spikes_out.connect(self.mlp.spikes_in)
        source.label_out.connect(self.mlp.label_in)
        self.mlp.summed_drive_out.connect(self.sink.summed_drive_in)

    def show(self, training=True):
        """Show all samples, and return their trace."""
        mlp, n_rows = self.mlp, len(self.x) * self.period
        mlp.learning = training
        mlp.run(RunSteps(num_steps=n_rows), Loihi2SimCfg(select_tag=mlp.tag))
        mlp.shared.switches.steps_before[0] += n_rows
        shape = (len(self.x), self.period, -1)
        rows = [rows[0].reshape(shape) for rows in mlp.shared.record().arrays]
        recording = mlp.shared.layout.recording(rows, self.net.n_steps, training)
        return Trace(*recording, self.sink.scores.copy(), mlp.weights)


def forward(mlp, l):
    return getattr(mlp.procs, f"forward_{l}")


def backward_of(mlp, l):
    return getattr(mlp.procs, f"backward_{l}")


@pytest.fixture
def make_line():
    """Return a maker of lines that end with their test, however that ends."""
    lines = []

    def make(*arguments, **options):
        lines.append(Line(*arguments, **options))
        return lines[-1]

    yield make
    for line in lines:
        line.mlp.stop()


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(net, id=name, marks=() if turn % 3 == 0 else pytest.mark.thorough)
        for turn, (name, net) in enumerate(FIXED_NETS.items())
    ],
)
def test_in_fixed_pt_it_is_the_network_of_the_engines_model(net, make_line):
    line = make_line(net)
    model = EngineMLP(line.start)
    trained = line.show()
    assert compare(trained, model.train(line.x, line.y)) is None
    # Random numbers go on while nothing is learned.
    assert compare(line.show(training=False), model.predict(line.x)) is None
    assert compare(line.show(), model.train(line.x, line.y)) is None
    assert_same_state(Checkpoint(net, line.mlp.shared.read()), model.state)
    assert all(k.any() for k in trained.spikes)
    assert all(e.any() for e in trained.errors[1:])
    if net.input_scale == CHIP.input_scale:  # not the first sample alone teaches
        assert sum(trained.errors[-1].any(axis=(1, 2))) > 3
    else:
        assert trained.spikes[0].sum(axis=1).max() > engine.LARGEST_TRACE


@settings(max_examples=examples(200))
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(0, engine.LARGEST_EXPONENT),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_the_model_learns_as_lavas_own_functions_do(seed, exponent, draw):
    """Of the whole range of weights, traces and third factors."""
    random = np.random.RandomState(seed)
    weights = random.randint(engine.LOWEST_WEIGHT, engine.HIGHEST_WEIGHT + 1, (7, 9))
    trace = random.randint(0, engine.LARGEST_TRACE + 1, 9)
    largest = engine.LARGEST_FACTOR // 2
    factor = 2 * random.randint(-largest, largest + 1, 7)
    rule = Loihi3FLearningRule(dw=EngineRate(1, exponent).rule, rng_seed=0)
    shift = engine.BITS_BEHIND
    sums = LearningRuleApplierBitApprox(rule.dw).apply(
        weights << shift, shape=weights.shape, u=1, x1_u=trace[np.newaxis], y1_u=factor[:, None]
    )
    rounded = LearningConnectionModelBitApproximate._stochastic_round_synaptic_variable(
        "weights", sums, draw
    )
    expected = clip_weights(rounded >> shift, SignMode.MIXED, 8)
    assert np.array_equal(engine.learned(weights, trace, factor, exponent, draw), expected)


@pytest.mark.parametrize("update", ["fractional", "outer"])
@pytest.mark.parametrize("following", ["learn", "copy"])
def test_what_leads_down_is_the_transpose_of_what_leads_up(update, following, make_line):
    net = CHIP.replace(arithmetic="fixed", update=update)
    line = make_line(net, following=following)
    with Simulator.from_checkpoint(line.start, "reference") as sim:
        assert compare(line.show(), sim.train(line.x, line.y, record=True)) is None
    mlp = line.mlp
    assert all(type(forward(mlp, l)) is LearningDense for l in (1, 2, 3))
    kind = LearningDense if following == "learn" else Dense
    for l in (2, 3):
        up, down = forward(mlp, l), backward_of(mlp, l)
        assert type(down) is kind
        assert np.array_equal(up.weights.get(), down.weights.get().T)
        assert np.array_equal(up.weights.get().T, mlp.weights[l - 1])


def test_in_fixed_pt_too(make_line):
    line = make_line(CHIP)
    line.show()
    for l in (2, 3):
        up, down = forward(line.mlp, l).weights.get(), backward_of(line.mlp, l).weights.get()
        assert np.array_equal(up, down.T)
        assert np.array_equal(up.T * 2.0**CHIP.weight_exponent, line.mlp.weights[l - 1])


def test_weights_of_the_engine_saturate_beyond_those_of_the_definition(make_line):
    line = make_line(CHIP.replace(learning_rate=20.0))
    assert compare(line.show(), EngineMLP(line.start).train(line.x, line.y)) is None
    held, saved = line.mlp.weights, line.mlp.checkpoint().state.weights
    assert (min(w.min() for w in held), max(w.max() for w in held)) == (-2, 255 / 128)
    for w, kept in zip(held, saved, strict=True):
        assert np.array_equal(kept, np.clip(w, -1, 127 / 128))


class TestFaults:
    """What a fault changes first is found, and where."""

    CASE = next(case for case in SUPPORTED if case.feature == "pipelined timing")

    def found(self):
        with pytest.raises(TracesDifferError) as failure:
            ConformanceTest(BACKEND, training_equals_reference, self.CASE).run()
        return failure.value.difference

    def test_a_gate_that_is_always_open(self, monkeypatch):
        def open_gate(net, arriving, psi, s, l):
            return backward(net, arriving, psi, np.zeros_like(s), l)

        monkeypatch.setattr(neurons, "backward", open_gate)
        difference = self.found()
        assert (difference.quantity, difference.layer in (1, 2)) == ("errors", True)

    def test_traces_that_outlive_their_sample(self, monkeypatch):
        monkeypatch.setattr(KeeperModel, "_empty", lambda *_: None)
        difference = self.found()
        # In the first sample nothing is left of another one.
        assert difference.quantity in ("weights", "spikes", "errors", "step_scores")
        assert difference.sample is None or difference.sample > 0

    def test_traces_that_decay(self, monkeypatch):
        from spikebp_lava import synapses

        monkeypatch.setattr(synapses, "NEVER", 2**16 - 1)
        assert self.found().quantity in ("weights", "spikes", "errors", "step_scores")

    def test_copies_that_are_made_too_late(self, monkeypatch, make_line):
        late = property(lambda self: self._copies and self._clock.learns and self._clock.closes)
        monkeypatch.setattr(KeeperModel, "_is_to_copy", late)
        line = make_line(CHIP)
        difference = compare(line.show(), EngineMLP(line.start).train(line.x, line.y))
        assert difference.quantity == "errors"
        assert difference.layer in (1, 2)

    def test_numbers_that_are_not_the_engines(self, monkeypatch, make_line):
        from spikebp_lava.standard import engine_mlp

        monkeypatch.setattr(engine_mlp, "SEED", 3)
        line = make_line(CHIP)
        assert compare(line.show(), EngineMLP(line.start).train(line.x, line.y)) is not None


class TestMisuse:
    @pytest.mark.parametrize(
        ("changes", "options", "reason"),
        [
            ({"timing": "immediate"}, {}, "a spike takes a step through synapses of Lava's own"),
            ({"presynaptic": "drive"}, {}, "the trace of a synapse counts spikes"),
            ({"arithmetic": "float32"}, {}, "compute with doubles"),
            ({}, {"granularity": "sample"}, "take a step of Lava for each step"),
            (
                {},
                {"tag": "fixed_pt"},
                "fixed_pt rounds weights at random, .*; use tag='floating_pt'",
            ),
            (
                {"timing": "immediate"},
                {"tag": "fixed_pt"},
                "fixed_pt rounds weights at random, .*, not timing='immediate'$",
            ),
            (
                {},
                {"tag": "fixed_pt", "granularity": "sample"},
                "fixed_pt rounds weights at random, .*, not one for granularity='sample'$",
            ),
        ],
    )
    def test_what_the_back_end_does_not_run(self, changes, options, reason):
        net = SpikingMLP((9, 8, 3), timing="pipelined").replace(**changes)
        options = {"tag": "floating_pt", "implementation": "standard"} | options
        with pytest.raises(UnsupportedError, match=reason):
            Simulator(net, "lava", **options)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            (
                {"layer_sizes": (40_000, 1)},
                "hold the spikes of 33026 units in fixed_pt, not those of 40000",
            ),
            ({"timing": "immediate"}, "they know timing='pipelined', not timing='immediate'"),
            ({"arithmetic": "float32"}, "compute with doubles in floating_pt"),
        ],
    )
    def test_what_the_graph_does_not_run(self, changes, reason):
        with pytest.raises(UnsupportedError, match=f"StandardMLP cannot run .*{reason}"):
            StandardMLP(CHIP.replace(**changes))

    @pytest.mark.parametrize(
        ("net", "options", "message"),
        [
            (
                (9, 3),
                {},
                r"net must be a SpikingMLP or a SpikingNetwork or a Checkpoint; got \(9, 3\)",
            ),
            (
                CHIP,
                {"following": "learn"},
                "following must be 'copy' with the tag 'fixed_pt'; got 'learn'",
            ),
            (
                CHIP.replace(learning_rate=1e-4),
                {},
                r"learning_rate must be from .* for Lava's engine in fixed_pt; got 0.0001",
            ),
        ],
    )
    def test_wrong_arguments_are_refused(self, net, options, message):
        with pytest.raises(ValueError, match=message):
            StandardMLP(net, **options)

    def test_negative_spikes_have_no_trace_in_fixed_pt(self, make_line):
        line = make_line(CHIP)
        line.x[2, 3] = -4
        with pytest.raises(ValueError, match="layer 0 must be without negative spikes in fixed_pt"):
            line.show()
        with pytest.raises(ValueError, match="layer 0 must be without negative spikes in fixed_pt"):
            EngineMLP(line.start).train(line.x, line.y)

    def test_a_label_must_be_there_where_it_is_learned(self):
        mlp = StandardMLP(CHIP.replace(arithmetic="fixed"), learning=False)
        SampleSource(mlp.net, np.ones((1, 9))).spikes_out.connect(mlp.spikes_in)
        Sender(data=np.full((1, 2), -1)).s_out.connect(mlp.label_in)
        mlp.run(RunSteps(num_steps=12), Loihi2SimCfg(select_tag="floating_pt"))
        mlp.learning = True
        with pytest.raises(ValueError, match="label_in must be 0 to 2 in a sample that learns; go"):
            mlp.run(RunSteps(num_steps=12))

    def test_a_buffer_of_real_numbers_sends_nothing_to_fixed_pt(self):
        mlp, sender = StandardMLP(CHIP), Sender(data=np.full((1, 2), 1.5))
        sender.s_out.connect(mlp.label_in)
        message = "label_in must be sent whole numbers of 32 bits in fixed_pt; got 1.5 from"
        with pytest.raises(ValueError, match=message):
            mlp.run(RunSteps(num_steps=1), Loihi2SimCfg(select_tag="fixed_pt"))

    @pytest.mark.parametrize(
        ("coding", "port", "shape", "allowed"),
        [
            ("values", "label_in", (1, 2), "whole numbers"),
            ("spikes", "spikes_in", (9, 2), "whole numbers with input_coding='spikes'"),
        ],
    )
    def test_labels_and_spikes_are_whole_numbers(self, coding, port, shape, allowed):
        mlp = StandardMLP(CHIP.replace(arithmetic="fixed", input_coding=coding, input_scale=1.0))
        Sender(data=np.full(shape, 1.5)).s_out.connect(getattr(mlp, port))
        with pytest.raises(ValueError, match=f"{port} must be {allowed}; got 1.5"):
            mlp.run(RunSteps(num_steps=5), Loihi2SimCfg(select_tag="floating_pt"))

    def test_what_a_step_has_done_is_read_alone(self):
        mlp = StandardMLP(CHIP.replace(arithmetic="fixed"))
        assert (mlp.s_in, mlp.s_out) == (mlp.spikes_in, mlp.spikes_out)
        with pytest.raises(RuntimeError, match="variable 'potential_1' can only be read"):
            mlp.potential_1.set(np.zeros(8))

    def test_a_graph_is_for_the_models_of_one_tag(self, make_line):
        line = make_line(CHIP)
        with pytest.raises(
            ValueError, match="select_tag must be 'fixed_pt' with arithmetic='loihi2'; got"
        ):
            line.mlp.run(RunSteps(num_steps=1), Loihi2SimCfg(select_tag="floating_pt"))

    def test_without_targets_nothing_is_learned(self):
        mlp = StandardMLP(CHIP.replace(arithmetic="fixed"))
        source = SampleSource(mlp.net, np.ones((1, 9)))
        source.spikes_out.connect(mlp.spikes_in)
        before = mlp.weights
        mlp.run(RunSteps(num_steps=24), Loihi2SimCfg(select_tag="floating_pt"))
        mlp.stop()
        assert all(map(np.array_equal, mlp.weights, before))
        assert mlp.checkpoint().state.samples_seen == 0
