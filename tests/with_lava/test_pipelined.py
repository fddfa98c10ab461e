"""Pipelined timing in a user's graph: what is shown when, and what is looked at."""

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, SpikingMLPProcess
from spikebp_plugins import Simulator, UnsupportedError
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules.sample import run_sample
from tests.with_lava.around import Enclosing
from tests.with_lava.graphs import (
    IMPLEMENTATIONS,
    N_SAMPLES,
    NET,
    TAGS,
    Line,
    Samples,
    assert_same_state,
    configuration,
)

PIPELINED = NET.replace(timing="pipelined")
L, T = PIPELINED.n_layers, PIPELINED.n_steps
#: The steps of a sample, and of all of them.
IN_ALL = steps_of_sample(PIPELINED, T)
N_STEPS = N_SAMPLES * IN_ALL

#: What differs between tags and between implementations, where all four would be too slow.
BOTH = list(zip(TAGS, IMPLEMENTATIONS, strict=True))
ALL = [(tag, implementation) for tag in TAGS for implementation in IMPLEMENTATIONS]


@pytest.fixture(scope="module")
def samples():
    return Samples(PIPELINED)


def sent_at(values, delay):
    """What a trace has under its steps, in the steps of Lava in which it is sent."""
    n_samples, _, n = values.shape
    steps = np.zeros((n_samples, IN_ALL, n), values.dtype)
    steps[:, delay : delay + T] = values
    return steps.reshape(-1, n)


@pytest.mark.parametrize(("tag", "implementation"), ALL)
def test_layers_are_busy_when_the_reference_says(samples, tag, implementation):
    trace, state, operations = samples.by_reference()
    line = Line(samples)
    monitors = {}
    for l in range(L + 1):
        for name in (f"spike_count_{l}", f"error_{l}")[: 1 + (l > 0)]:
            monitors[name] = Monitor()
            monitors[name].probe(getattr(line.mlp, name), N_STEPS)
    spikes_out = Receiver(shape=(3,), buffer=N_STEPS)
    line.mlp.spikes_out.connect(spikes_out.a_in)
    line.run(N_STEPS, configuration(tag, implementation))
    recorded = {name: m.get_data()[line.mlp.name][name] for name, m in monitors.items()}
    sent = spikes_out.data.get()
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert line.mlp.operations == operations
    assert np.array_equal(line.sink.scores, trace.scores)
    assert np.array_equal(sent.T, sent_at(trace.spikes[L], L))
    for l in range(L + 1):
        assert np.array_equal(recorded[f"spike_count_{l}"], sent_at(trace.spikes[l], l))
        if l > 0:
            assert np.array_equal(recorded[f"error_{l}"], sent_at(trace.errors[l], 2 * L - l))


def in_steps(values, delay, fill, lengths=(T,) * N_SAMPLES):
    """Values of each sample for its steps, `fill` before and after them, for a RingBuffer."""
    columns = []
    for value, n_steps in zip(np.reshape(values, (len(values), -1)), lengths, strict=True):
        steps = np.full((value.size, steps_of_sample(PIPELINED, n_steps)), fill)
        steps[:, delay : delay + n_steps] = value[:, np.newaxis]
        columns.append(steps)
    return np.concatenate(columns, axis=1)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_nobody_looks_at_what_arrives_while_a_layer_is_idle(samples, implementation):
    """Not a number is no input, and there is no class 99."""
    _, state, _ = samples.by_reference()
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights)
    Sender(data=in_steps(samples.x, 0, np.nan)).s_out.connect(mlp.spikes_in)
    Sender(data=in_steps(samples.y, L, 99)).s_out.connect(mlp.label_in)
    run_cfg = configuration("floating_pt", implementation)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=run_cfg)
    mlp.stop()
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_source_sends_changing_targets_when_they_are_due(samples, tag, implementation):
    random = np.random.RandomState(3)
    x = random.randint(-3, 8, (N_SAMPLES, T, 9))
    y = random.uniform(-1, 2, (N_SAMPLES, T, 3))
    _, state, _ = samples.by_reference(x, y)
    mlp, source = (
        SpikingMLPProcess(PIPELINED, weights=samples.weights),
        SampleSource(PIPELINED, x, y),
    )
    source.spikes_out.connect(mlp.spikes_in)
    source.target_out.connect(mlp.target_in)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration(tag, implementation))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_reset_ends_the_input_of_a_sample_of_any_length(samples, tag, implementation):
    lengths = [3, 12, 1, 7, 9, 10]
    state = initial_state(PIPELINED, samples.weights)
    for x, y, n_steps in zip(samples.x * NET.input_scale, samples.y, lengths, strict=True):
        state, _ = run_sample(PIPELINED, state, x[np.newaxis], np.eye(3)[[y]], n_steps)
    resets = np.zeros((1, sum(steps_of_sample(PIPELINED, n) for n in lengths)), int)
    resets[0, np.cumsum([0] + [n + 2 * L - 1 for n in lengths[:-1]]) + lengths - 1] = 1
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights)
    Sender(data=in_steps(samples.x, 0, 0, lengths)).s_out.connect(mlp.spikes_in)
    Sender(data=in_steps(samples.y, L, -1, lengths)).s_out.connect(mlp.label_in)
    Sender(data=resets).s_out.connect(mlp.reset_in)
    run_cfg = configuration(tag, implementation)
    mlp.run(condition=RunSteps(num_steps=resets.size), run_cfg=run_cfg)
    mlp.stop()
    assert mlp.operations.samples == N_SAMPLES
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_runs_end_anywhere_and_learning_is_switched_for_whole_samples(samples, tag, implementation):
    with Simulator(PIPELINED, "reference", samples.weights) as sim:
        sim.train(samples.x[:2], samples.y[:2])
        scores = sim.predict(samples.x[2:])
        state = sim.checkpoint().state
    line = Line(samples)
    line.run(5, configuration(tag, implementation))
    line.run(IN_ALL)
    line.mlp.learning = False  # in the middle of the second sample, which goes on learning
    line.run(N_STEPS - IN_ALL - 5)
    line.mlp.stop()
    assert np.array_equal(line.sink.scores[2:], scores)
    assert_same_state(line.mlp.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_checkpoint_goes_on_in_the_other_implementation(samples, tag, implementation):
    _, state, _ = samples.by_reference()
    half = N_STEPS // 2
    line = Line(samples)
    line.run(half, configuration(tag, implementation))
    line.mlp.stop()
    other = SpikingMLPProcess(line.mlp.checkpoint())
    source = SampleSource(PIPELINED, samples.x[3:], samples.y[3:])
    source.spikes_out.connect(other.spikes_in)
    source.label_out.connect(other.label_in)
    run_cfg = configuration(tag, next(name for name in IMPLEMENTATIONS if name != implementation))
    other.run(condition=RunSteps(num_steps=half), run_cfg=run_cfg)
    other.stop()
    assert_same_state(other.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_weights_are_written_between_samples(samples, tag, implementation):
    line = Line(samples)
    line.run(N_STEPS, configuration(tag, implementation))
    line.mlp.weight_2.set(line.mlp.weight_2.get()[::-1])
    before = line.mlp.checkpoint()
    line.run(N_STEPS)
    line.mlp.stop()
    with before.simulate("reference") as sim:
        sim.train(samples.x, samples.y)
        assert_same_state(line.mlp.checkpoint(), sim.checkpoint().state)


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_can_be_a_whole_sample_with_its_way(samples, tag):
    trace, state, operations = samples.by_reference()
    line = Line(samples, granularity="sample")
    spikes_out = Receiver(shape=(3,), buffer=N_SAMPLES)
    line.mlp.spikes_out.connect(spikes_out.a_in)
    line.run(N_SAMPLES, configuration(tag, "leaf"))
    counts = spikes_out.data.get().T
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert line.mlp.operations == operations
    assert np.array_equal(line.sink.scores, trace.scores)
    assert np.array_equal(counts, trace.spikes[L].sum(axis=1))


def test_whole_samples_have_no_resets(samples):
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights, granularity="sample")
    Sender(data=samples.x.T).s_out.connect(mlp.spikes_in)
    Sender(data=np.ones((1, N_SAMPLES))).s_out.connect(mlp.reset_in)
    steps, run_cfg = RunSteps(num_steps=N_SAMPLES), configuration("floating_pt", "leaf")
    with pytest.raises(UnsupportedError, match="a message has the way through the network in it"):
        mlp.run(condition=steps, run_cfg=run_cfg)


def test_a_reset_port_of_an_enclosing_process_that_nobody_uses_is_none(samples):
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights, granularity="sample")
    source = SampleSource(PIPELINED, samples.x, samples.y, granularity="sample")
    enclosing = Enclosing(mlp, ("spikes_in", "label_in", "target_in", "reset_in"))
    source.spikes_out.connect(enclosing.spikes_in)
    source.label_out.connect(enclosing.label_in)
    source.run(RunSteps(num_steps=N_SAMPLES), configuration("floating_pt", "leaf"))
    source.stop()
    assert_same_state(mlp.checkpoint(), samples.by_reference()[1])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("first", "change"), [(-1, "comes"), (0, "goes")])
def test_a_label_that_changes_its_mind_ends_the_run(samples, implementation, first, change):
    labels = np.full((1, IN_ALL), first)
    labels[0, L + 2 :] = -1 - first
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights)
    before = mlp.checkpoint().state
    Sender(data=in_steps(samples.x, 0, 0)).s_out.connect(mlp.spikes_in)
    Sender(data=labels).s_out.connect(mlp.label_in)
    message = (
        "a label must be known at all steps of a sample or at none with timing='pipelined'; "
        f"got one that {change} at step {L + 3}"
    )
    with pytest.raises(ValueError, match=message):
        mlp.run(
            condition=RunSteps(num_steps=IN_ALL),
            run_cfg=configuration("floating_pt", implementation),
        )
    assert_same_state(mlp.checkpoint(), before)


def test_a_reset_of_a_sample_that_has_ended_ends_the_run(samples):
    mlp = SpikingMLPProcess(PIPELINED, weights=samples.weights)
    resets = np.zeros((1, IN_ALL))
    resets[0, [T - 1, IN_ALL - 1]] = 1
    Sender(data=in_steps(samples.x, 0, 0)).s_out.connect(mlp.spikes_in)
    Sender(data=resets).s_out.connect(mlp.reset_in)
    message = "reset_in must be 0 from the end of a sample's input to the next sample"
    with pytest.raises(ValueError, match=message):
        mlp.run(
            condition=RunSteps(num_steps=IN_ALL),
            run_cfg=configuration("floating_pt", "leaf"),
        )
