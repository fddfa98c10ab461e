"""The network as a process in a user's graph."""

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.compiler import compiler_graphs
from lava.magma.core.process.process import LogConfig
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor

from spikebp_lava import (
    HierarchicalModel,
    LeafModelFixed,
    LeafModelFloating,
    SampleSource,
    ScoreSink,
    SpikingMLPProcess,
)
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from spikebp_plugins.network.delays import steps_of_sample
from tests.with_lava.around import Writer
from tests.with_lava.graphs import (
    IMPLEMENTATIONS,
    N_SAMPLES,
    N_STEPS,
    NET,
    TAGS,
    Line,
    Loihi1SimCfg,
    Loihi2SimCfg,
    Samples,
    assert_same_state,
    configuration,
)
from tests.with_lava.halves import Halves

#: What differs between tags and between implementations, where all four would be too slow.
BOTH = list(zip(TAGS, IMPLEMENTATIONS, strict=True))

COUNTS_IN = NET.replace(input_coding="spikes", input_scale=1.0)


@pytest.fixture(scope="module")
def samples():
    return Samples()


def every_step(values, n_steps=NET.n_steps):
    """Values of each sample, for each step, as a RingBuffer takes them."""
    return np.repeat(values, n_steps, axis=0).T


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("cls", [Loihi1SimCfg, Loihi2SimCfg])
def test_spikes_errors_weights_and_scores_are_those_of_the_reference(
    samples, tag, implementation, cls
):
    trace, state, operations = samples.by_reference()
    line = Line(samples)
    monitors = {}
    for l in range(4):
        for name in (f"spike_count_{l}", f"error_{l}"):
            if name != "error_0":
                monitors[name] = Monitor()
                monitors[name].probe(getattr(line.mlp, name), N_STEPS)
    spikes_out = Receiver(shape=(3,), buffer=N_STEPS)
    line.mlp.spikes_out.connect(spikes_out.a_in)
    line.run(N_STEPS, configuration(tag, implementation, cls))
    recorded = {name: m.get_data()[line.mlp.name][name] for name, m in monitors.items()}
    sent = spikes_out.data.get()
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert line.mlp.operations == operations
    assert np.array_equal(line.sink.scores, trace.scores)
    assert np.array_equal(sent.T, trace.spikes[3].reshape(N_STEPS, 3))
    for l in range(4):
        assert np.array_equal(recorded[f"spike_count_{l}"], trace.spikes[l].reshape(N_STEPS, -1))
        if l > 0:
            assert np.array_equal(recorded[f"error_{l}"], trace.errors[l].reshape(N_STEPS, -1))


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_labels_ask_for_what_the_definition_says(samples, tag, implementation, timing):
    net = NET.replace(timing=timing)
    asking = Samples(net.replace(label_targets=(-0.3, 2.7)))
    targets = np.where(np.arange(3) == asking.y[:, np.newaxis], 2.7, -0.3)
    trace, state, _ = Samples(net).by_reference(y=targets)
    line = Line(asking)
    steps = N_SAMPLES * steps_of_sample(net, net.n_steps)
    line.run(steps, configuration(tag, implementation))
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert np.array_equal(line.sink.scores, trace.scores)


@pytest.mark.parametrize("tag", TAGS)
def test_a_message_can_be_a_whole_sample(samples, tag):
    trace, state, _ = samples.by_reference()
    line = Line(samples, granularity="sample")
    line.run(N_SAMPLES, configuration(tag, "leaf"))
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)
    assert np.array_equal(line.sink.scores, trace.scores)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_runs_go_on_and_learning_can_be_switched_off(samples, tag, implementation):
    with Simulator(samples.net, "reference", samples.weights) as sim:
        sim.train(samples.x, samples.y)
        scores = sim.predict(samples.x)
        sim.train(samples.x, samples.y)
        state = sim.checkpoint().state
    line = Line(samples)
    line.run(10, configuration(tag, implementation))
    line.run(N_STEPS - 10)
    line.mlp.learning = False
    line.run(N_STEPS)
    assert np.array_equal(line.sink.scores, scores)
    line.mlp.learning = True
    line.run(N_STEPS)
    line.mlp.stop()
    assert_same_state(line.mlp.checkpoint(), state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_labels_may_come_late_or_never(samples, tag, implementation):
    """A step without a label leaves weights, backward potentials and the target's as they are."""
    late = [3, 0, 7, 1, 6, 7]  # steps before the label comes
    labels = np.full((N_SAMPLES, NET.n_steps), -1)
    for i, steps in enumerate(late):
        labels[i, steps:] = samples.y[i]
    mlp = SpikingMLPProcess(NET, weights=samples.weights)
    Sender(data=every_step(samples.x)).s_out.connect(mlp.spikes_in)
    Sender(data=labels.reshape(1, -1)).s_out.connect(mlp.label_in)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration(tag, implementation))
    mlp.stop()
    state = by_steps(samples, labels, [NET.n_steps] * N_SAMPLES)
    assert state.samples_seen == 4
    assert_same_state(mlp.checkpoint(), state)


def by_steps(samples, labels, lengths):
    """Learn by the reference's own steps, with a label (or -1) for each step."""
    from spikebp_plugins.network.state import initial_state
    from spikebp_plugins.rules.step import close_training, open_sample, open_training, step

    state = initial_state(NET, samples.weights)
    for i, n_steps in enumerate(lengths):
        sample, trained = open_sample(NET), False
        for t in range(n_steps):
            y = None if labels[i, t] < 0 else np.eye(3)[labels[i, t]]
            if y is not None and not trained:
                state, trained = open_training(NET, state), True
            x = np.asarray(samples.x[i] * NET.input_scale)
            state, sample, _ = step(NET, state, sample, x, y)
        if trained:
            state = close_training(NET, state, sample)
    return state


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_reset_ends_a_sample_of_any_length(samples, tag, implementation):
    lengths = [3, 12, 1, 7, 9, 10]
    resets = np.zeros(sum(lengths), int)
    resets[np.cumsum(lengths) - 1] = 1
    labels = np.repeat(samples.y[:, np.newaxis], max(lengths), axis=1)
    mlp = SpikingMLPProcess(NET, weights=samples.weights)
    Sender(data=np.repeat(samples.x, lengths, axis=0).T).s_out.connect(mlp.spikes_in)
    Sender(data=np.repeat(samples.y, lengths)[np.newaxis]).s_out.connect(mlp.label_in)
    Sender(data=resets[np.newaxis]).s_out.connect(mlp.reset_in)
    mlp.run(condition=RunSteps(num_steps=len(resets)), run_cfg=configuration(tag, implementation))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), by_steps(samples, labels, lengths))


@pytest.mark.parametrize("tag", TAGS)
def test_real_targets_and_changing_input(samples, tag):
    random = np.random.RandomState(3)
    x = random.randint(-3, 8, (N_SAMPLES, NET.n_steps, 9))
    y = random.uniform(-1, 2, (N_SAMPLES, NET.n_steps, 3))
    _, state, _ = samples.by_reference(x, y)
    mlp, source = SpikingMLPProcess(NET, weights=samples.weights), SampleSource(NET, x, y)
    source.spikes_out.connect(mlp.spikes_in)
    source.target_out.connect(mlp.target_in)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration(tag, "leaf"))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize("tag", TAGS)
def test_it_learns_between_processes_of_lava(samples, tag):
    """A LIF and a Dense drive the network, whose spikes drive a Dense and a LIF."""
    net = SpikingMLP((4, 6, 2), n_steps=5, learning_rate=0.5, input_coding="spikes")
    weights = Samples(net).weights
    n_steps = 10 * net.n_steps
    # In fixed_pt a LIF scales its threshold, but not its bias, by 2**6.
    scale = {"bias_exp": 6} if tag == "fixed_pt" else {}
    drivers = LIF(shape=(4,), bias_mant=np.array([3, 5, 7, 9]), du=0, dv=0, vth=10, **scale)
    relay = Dense(weights=np.eye(4) * (1 if tag == "floating_pt" else 2))
    mlp = SpikingMLPProcess(net, weights=weights)
    source_of_labels = Sender(data=np.tile([[0] * 5 + [1] * 5], 5))
    after = Dense(weights=np.ones((3, 2)) * 2, num_message_bits=8)
    neurons = LIF(shape=(3,), vth=10)
    arrived = Receiver(shape=(4,), buffer=n_steps)
    drivers.s_out.connect(relay.s_in)
    relay.a_out.connect(mlp.spikes_in)
    relay.a_out.connect(arrived.a_in)
    source_of_labels.s_out.connect(mlp.label_in)
    mlp.spikes_out.connect(after.s_in)
    after.a_out.connect(neurons.a_in)
    mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=Loihi1SimCfg(select_tag=tag))
    x = arrived.data.get().T.reshape(10, net.n_steps, 4).astype(int)
    mlp.stop()
    assert x.any()
    with Simulator(net, "reference", weights) as sim:
        sim.train(x, [0, 1] * 5)
        assert_same_state(mlp.checkpoint(), sim.checkpoint().state)


@pytest.mark.parametrize(("tag", "implementation"), BOTH)
def test_a_checkpoint_goes_in_and_comes_out(samples, tag, implementation):
    with Simulator(NET, weights=samples.weights) as sim:
        sim.train(samples.x, samples.y)
        checkpoint = sim.checkpoint()
        sim.train(samples.x, samples.y)
        state = sim.checkpoint().state
    mlp = SpikingMLPProcess(checkpoint)
    source = SampleSource(NET, samples.x, samples.y)
    source.spikes_out.connect(mlp.spikes_in)
    source.label_out.connect(mlp.label_in)
    mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration(tag, implementation))
    assert_same_state(mlp.checkpoint(), state)
    mlp.stop()
    assert_same_state(mlp.checkpoint(), state)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_weights_are_read_and_written_between_runs(samples, tag, implementation):
    line = Line(samples)
    assert np.array_equal(line.mlp.weight_2.get(), line.mlp.weights[1])
    line.run(N_STEPS, configuration(tag, implementation))
    unit = 1 if tag == "floating_pt" else 2.0**NET.fraction_bits
    new = np.rint(samples.weights[1] * 2.0**NET.fraction_bits) / 2.0**NET.fraction_bits
    line.mlp.weight_2.set(new * unit)
    assert np.array_equal(line.mlp.weight_2.get(), new * unit)
    with pytest.raises(ValueError, match=r"weight_2 must be on the grid"):
        line.mlp.weight_2.set(new * unit + unit / 2.0 ** (NET.fraction_bits + 1))
    with pytest.raises(ValueError, match=r"weight_2 must be of shape \(8, 7\); got shape \(7, 8\)"):
        line.mlp.weight_2.set(new.T)
    before = line.mlp.checkpoint()
    line.run(N_STEPS)
    after = line.mlp.checkpoint().state
    line.mlp.stop()
    with before.simulate("reference") as sim:
        sim.train(samples.x, samples.y)
        assert_same_state(line.mlp.checkpoint(), sim.checkpoint().state)
    assert not np.array_equal(after.weights[1], new)


def test_lava_finds_the_models_without_executing_files(monkeypatch):
    def refuse(name, path):
        raise AssertionError(f"{path} is executed")

    monkeypatch.setattr(compiler_graphs.import_utils, "spec_from_file_location", refuse)
    line = Line(Samples())
    for process in (line.mlp, line.source, line.sink):
        found = compiler_graphs.ProcGroupDiGraphs._find_proc_models(process)
        assert {model.implements_process for model in found} == {type(process)}


def test_it_can_run_until_it_is_paused(samples):
    line = Line(samples)
    line.mlp.run(condition=RunContinuous(), run_cfg=configuration("floating_pt", "leaf"))
    line.mlp.pause()
    # Lava itself would never return.
    with pytest.raises(RuntimeError, match="go on with RunContinuous"):
        line.run(7)
    line.mlp.run(condition=RunContinuous())
    line.mlp.pause()
    line.mlp.stop()
    shown = line.mlp.operations.samples
    x = np.resize(samples.x, (shown, 9))
    with Simulator(NET, weights=samples.weights) as sim:
        sim.train(x, np.resize(samples.y, shown))
        assert sim.samples_seen == line.mlp.checkpoint().state.samples_seen


class Doubled(LeafModelFloating):
    """A model of a user's: one that sends twice the spikes."""

    def run_spk(self):
        send, self.spikes_out.send = self.spikes_out.send, lambda spikes: send(2 * spikes)
        super().run_spk()
        self.spikes_out.send = send


class TestHabitsOfLava:
    def test_ports_have_the_names_of_lavas_own_processes(self, samples):
        mlp, sink = SpikingMLPProcess(NET, weights=samples.weights), ScoreSink(NET, N_SAMPLES)
        source = SampleSource(NET, samples.x, samples.y)
        fired = Receiver(shape=(3,), buffer=N_STEPS)
        source.s_out.connect(mlp.s_in)
        source.label_out.connect(mlp.label_in)
        mlp.s_out.connect(fired.a_in)
        mlp.summed_drive_out.connect(sink.a_in)
        assert (mlp.s_in, mlp.s_out, mlp.s_in.name) == (mlp.spikes_in, mlp.spikes_out, "spikes_in")
        mlp.run(condition=RunSteps(num_steps=N_STEPS), run_cfg=configuration("floating_pt", "leaf"))
        sent = fired.data.get()
        mlp.stop()
        trace, state, _ = samples.by_reference()
        assert_same_state(mlp.checkpoint(), state)
        assert np.array_equal(sink.scores, trace.scores)
        assert np.array_equal(sent.T, trace.spikes[-1].reshape(N_STEPS, 3))

    def test_other_names_are_none(self):
        for process in (SpikingMLPProcess(NET), SampleSource(NET, np.ones((1, 9)))):
            with pytest.raises(AttributeError, match="object has no attribute 'a_in'"):
                process.a_in.connect(None)

    def test_names_and_logging_are_given_as_to_any_process(self):
        logging = LogConfig(level_console=50)
        for make in (
            lambda **given: SpikingMLPProcess(NET, **given),
            lambda **given: SampleSource(NET, np.ones((1, 9)), **given),
            lambda **given: ScoreSink(NET, 1, **given),
        ):
            process = make(name="mine", log_config=logging)
            assert (process.name, process._log_config) == ("mine", logging)
            with pytest.raises(ValueError, match="log_config must be a LogConfig of Lava or None;"):
                make(log_config="lava.log")

    @pytest.mark.parametrize(
        ("arguments", "keywords", "message"),
        [
            ((), {}, r"SpikingMLPProcess.* missing 1 required positional argument: 'net'"),
            ((), {"weights": None}, r"SpikingMLPProcess.* missing 1 required .* argument: 'net'"),
            ((NET, None), {}, r"SpikingMLPProcess.* takes 2 positional arguments but 3 were given"),
            ((NET,), {"weight": 1}, r"SpikingMLPProcess.* unexpected keyword argument 'weight'"),
            ((), {"net": NET, "tag": 1}, r"SpikingMLPProcess.* unexpected keyword argument 'tag'"),
        ],
    )
    def test_wrong_keywords_are_those_of_the_process(self, arguments, keywords, message):
        with pytest.raises(TypeError, match=message) as raised:
            SpikingMLPProcess(*arguments, **keywords)
        assert "__new__" not in str(raised.value)


class TestModelsByName:
    @pytest.mark.parametrize(
        ("model", "tag"),
        [
            (LeafModelFloating, "floating_pt"),
            (LeafModelFixed, "fixed_pt"),
            (HierarchicalModel, "fixed_pt"),
        ],
    )
    @pytest.mark.parametrize("key", [SpikingMLPProcess, type(SpikingMLPProcess(NET))], ids=str)
    def test_a_run_configuration_may_name_them(self, samples, key, model, tag):
        """A selection that would fail otherwise shows that the named model is taken."""
        line = Line(samples)
        selected = []

        class Selecting(Loihi2SimCfg):
            def select(self, process, models):
                if process is line.mlp:
                    models = [Doubled]
                selected.append(super().select(process, models))
                return selected[-1]

        line.run(N_STEPS, Selecting(select_tag=tag, exception_proc_model_map={key: model}))
        line.mlp.stop()
        assert model in selected
        assert_same_state(line.mlp.checkpoint(), samples.by_reference()[1])

    @pytest.mark.parametrize("sizes", [(9, 3), (9, 8, 7, 6, 5, 3)])
    def test_a_model_of_ones_own_serves_any_depth(self, sizes):
        samples = Samples(NET.replace(layer_sizes=sizes))
        line, fired = Line(samples), Receiver(shape=(3,), buffer=N_STEPS)
        line.mlp.spikes_out.connect(fired.a_in)
        mine = {SpikingMLPProcess: Doubled}
        line.run(N_STEPS, Loihi2SimCfg(select_tag="floating_pt", exception_proc_model_map=mine))
        sent = fired.data.get()
        line.mlp.stop()
        trace, state, _ = samples.by_reference()
        assert np.array_equal(sent.T, 2 * trace.spikes[-1].reshape(N_STEPS, 3))
        assert_same_state(line.mlp.checkpoint(), state)

    def test_classes_of_each_depth_are_the_one_that_is_known_and_not_each_other(self):
        one, other = type(SpikingMLPProcess(NET)), type(SpikingMLPProcess(SpikingMLP((9, 3))))
        assert one == SpikingMLPProcess == other
        assert one != other
        assert {SpikingMLPProcess: 1}[one] == {one: 1}[SpikingMLPProcess] == 1
        assert other not in {one: 1}
        assert SpikingMLPProcess not in {Sender, "SpikingMLPProcess", None}
        assert not hasattr(LeafModelFixed, "weight_x")
        assert not hasattr(LeafModelFixed, "height_1")

    def test_models_of_both_tags_do_not_go_together(self, samples):
        line = Line(samples)
        mixed = {SpikingMLPProcess: LeafModelFixed}
        message = "the tag of process models must be one of 'floating_pt', 'fixed_pt' for all"
        with pytest.raises(ValueError, match=message):
            line.run(1, Loihi2SimCfg(select_tag="floating_pt", exception_proc_model_map=mixed))


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                {"net": (9, 3)},
                r"net must be a SpikingMLP or a SpikingNetwork or a Checkpoint; got \(9, 3\)",
            ),
            (
                {"net": NET, "granularity": "day"},
                r"granularity must be one of 'step', 'sample'; got",
            ),
            ({"net": NET, "weights": [np.zeros((2, 2))]}, r"weights must be matrices of shapes"),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            SpikingMLPProcess(**arguments)

    def test_weights_with_a_checkpoint_are_refused(self, samples):
        checkpoint = Simulator(NET).checkpoint()
        with pytest.raises(ValueError, match="weights and feedback must be None"):
            SpikingMLPProcess(checkpoint, weights=samples.weights)

    def test_sources_and_sinks_check_their_arguments(self, samples):
        with pytest.raises(ValueError, match="x must be of shape"):
            SampleSource(NET, np.zeros((2, 3)))
        with pytest.raises(ValueError, match="x must be at least one sample"):
            SampleSource(NET, np.zeros((0, 9)))
        with pytest.raises(ValueError, match="the same at all steps"):
            SampleSource(NET, np.zeros((1, NET.n_steps, 9)), granularity="sample")
        for process, argument in ((SampleSource, samples.x), (ScoreSink, 3)):
            with pytest.raises(ValueError, match="granularity must be one of 'step', 'sample'; go"):
                process(NET, argument, granularity="day")

    @pytest.mark.parametrize("n_samples", [True, 1.5, "3", 0, -1], ids=repr)
    def test_a_sink_keeps_at_least_one_sample(self, n_samples):
        message = f"n_samples must be an integer of at least 1; got {n_samples!r}"
        with pytest.raises(ValueError, match=message):
            ScoreSink(NET, n_samples)

    @pytest.mark.parametrize("kind", [np.int64, np.int16])
    def test_integers_of_numpy_are_integers(self, kind):
        assert ScoreSink(NET, kind(5)).drives.shape == (5, 3)
        net = NET.replace(n_steps=kind(NET.n_steps), layer_sizes=tuple(map(kind, NET.layer_sizes)))
        assert SpikingMLPProcess(net).net == NET
        assert SampleSource(net, np.zeros((2, 9))).spikes_out.shape == (9,)

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_an_unknown_label_ends_the_run(self, samples, implementation):
        mlp = SpikingMLPProcess(NET, weights=samples.weights)
        Sender(data=every_step(samples.x)).s_out.connect(mlp.spikes_in)
        Sender(data=np.full((1, N_STEPS), 3)).s_out.connect(mlp.label_in)
        with pytest.raises(ValueError, match="label_in must be below 3; got 3"):
            mlp.run(
                condition=RunSteps(num_steps=7),
                run_cfg=configuration("floating_pt", implementation),
            )

    def test_values_that_are_no_integers_need_floating_pt(self, samples):
        mlp, source = SpikingMLPProcess(NET), SampleSource(NET, samples.x + 0.5)
        source.spikes_out.connect(mlp.spikes_in)
        with pytest.raises(ValueError, match=r"x must be integers in fixed_pt.*; got"):
            mlp.run(condition=RunSteps(num_steps=7), run_cfg=configuration("fixed_pt", "leaf"))

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    @pytest.mark.parametrize(
        ("net", "value", "message"),
        [
            (
                COUNTS_IN,
                0.5,
                r"spikes_in must be whole numbers with input_coding='spikes'; got 0.5",
            ),
            (COUNTS_IN.replace(spikes="binary"), 2, r"spikes_in must be spike counts -1, 0 or 1"),
            (NET, np.nan, "spikes_in must be finite; got nan"),
        ],
    )
    def test_values_that_are_no_input_end_the_run(self, net, value, message, implementation):
        mlp = SpikingMLPProcess(net)
        Sender(data=np.full((9, 7), value)).s_out.connect(mlp.spikes_in)
        with pytest.raises(ValueError, match=message):
            mlp.run(
                condition=RunSteps(num_steps=7),
                run_cfg=configuration("floating_pt", implementation),
            )

    @pytest.mark.parametrize(
        ("port", "data"),
        [
            ("spikes_in", np.full((9, 7), 0.5)),
            ("spikes_in", np.full((9, 7), 2.0**31)),
            ("label_in", np.full((1, 7), 0.5)),
            ("target_in", np.full((3, 7), np.nan)),
            ("reset_in", np.full((1, 7), 0.5)),
        ],
    )
    def test_a_buffer_of_real_numbers_sends_nothing_to_fixed_pt(self, port, data):
        """Lava's RingBuffer would truncate them before it sends them."""
        mlp, sender = SpikingMLPProcess(NET), Sender(data=data)
        sender.s_out.reshape(getattr(mlp, port).shape).connect(getattr(mlp, port))
        message = (
            f"{port} must be sent whole numbers of 32 bits in fixed_pt; got {data[0, 0]} from "
            f"RingBuffer {sender.name!r}"
        )
        with pytest.raises(ValueError, match=message):
            mlp.run(condition=RunSteps(num_steps=7), run_cfg=configuration("fixed_pt", "leaf"))

    @pytest.mark.parametrize(
        ("port", "n", "implementation"),
        [("spikes_in", 9, "hierarchical"), ("target_in", 3, "leaf")],
    )
    def test_real_numbers_of_any_process_are_refused_in_fixed_pt(self, port, n, implementation):
        mlp, halves = SpikingMLPProcess(NET), Halves((n,))
        halves.s_out.connect(getattr(mlp, port))
        with pytest.raises(ValueError, match=f"{port} must be whole numbers in fixed_pt; got 0.5"):
            mlp.run(
                condition=RunSteps(num_steps=7), run_cfg=configuration("fixed_pt", implementation)
            )

    @pytest.mark.parametrize(("label", "implementation"), [(1.5, "leaf"), (np.nan, "hierarchical")])
    def test_a_label_is_a_whole_number(self, label, implementation):
        mlp = SpikingMLPProcess(NET)
        Sender(data=np.full((1, 7), label)).s_out.connect(mlp.label_in)
        with pytest.raises(ValueError, match=f"label_in must be whole numbers; got {label}"):
            mlp.run(
                condition=RunSteps(num_steps=7),
                run_cfg=configuration("floating_pt", implementation),
            )

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_what_a_step_has_done_is_read_alone(self, samples, implementation):
        line = Line(samples)
        for run in (False, True):
            for name in ("spike_count_0", "spike_count_1", "error_3"):
                with pytest.raises(RuntimeError, match=f"variable '{name}' can only be read"):
                    getattr(line.mlp, name).set(np.ones(getattr(line.mlp, name).shape))
            if not run:
                line.run(N_STEPS, configuration("floating_pt", implementation))
        line.mlp.stop()

    def test_targets_must_be_finite(self, samples):
        mlp = SpikingMLPProcess(NET)
        Sender(data=np.full((3, 7), np.inf)).s_out.connect(mlp.target_in)
        with pytest.raises(ValueError, match="target_in must be finite; got inf"):
            mlp.run(condition=RunSteps(num_steps=7), run_cfg=configuration("floating_pt", "leaf"))

    @pytest.mark.parametrize(
        ("changes", "options", "tag", "implementation", "reason"),
        [
            ({}, {"granularity": "sample"}, "fixed_pt", "hierarchical", "layers exchange spikes"),
            ({"arithmetic": "float64"}, {}, "fixed_pt", "leaf", "fixed_pt computes with integers"),
            (
                {"arithmetic": "float32"},
                {},
                "fixed_pt",
                "hierarchical",
                "fixed_pt computes with integers",
            ),
            (
                {"presynaptic": "drive"},
                {},
                "floating_pt",
                "hierarchical",
                "receives the spikes of the layer below, not its drive",
            ),
            (
                {"arithmetic": "loihi2"},
                {},
                "floating_pt",
                "leaf",
                "not arithmetic='loihi2'",
            ),
            (
                {"arithmetic": "float32", "timing": "event"},
                {},
                "floating_pt",
                "leaf",
                "it knows timing=one of 'immediate', 'pipelined', not timing='event'",
            ),
            (
                {"arithmetic": "float64", "timing": "event"},
                {"granularity": "sample"},
                "floating_pt",
                "leaf",
                "it knows timing=one of 'immediate', 'pipelined', not timing='event'",
            ),
        ],
    )
    def test_what_is_not_supported_is_refused_before_it_starts(
        self, samples, changes, options, tag, implementation, reason
    ):
        net = NET.replace(**changes)
        mlp = SpikingMLPProcess(net, weights=samples.weights, **options)
        source = SampleSource(net, samples.x, samples.y, **options)
        sink = ScoreSink(net, 1, **options)
        source.spikes_out.connect(mlp.spikes_in)
        mlp.summed_drive_out.connect(sink.summed_drive_in)
        before = mlp.weights
        steps, run_cfg = RunSteps(num_steps=6), configuration(tag, implementation)
        with pytest.raises(UnsupportedError, match=reason):
            mlp.run(condition=steps, run_cfg=run_cfg)
        assert all(map(np.array_equal, mlp.weights, before))
        with pytest.raises(RuntimeError, match=r"has ended \(it could not be started\)"):
            mlp.run(condition=steps, run_cfg=run_cfg)
        mlp.stop()

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_no_weights_are_written_through_a_port(self, samples, implementation):
        mlp, writer = SpikingMLPProcess(NET, weights=samples.weights), Writer((9, 8))
        Sender(data=every_step(samples.x)).s_out.connect(mlp.spikes_in)
        writer.weight.connect_var(mlp.weight_1)
        before = mlp.weights[0]
        with pytest.raises(RuntimeError, match=r"a RefPort can read weight.* but not write it"):
            mlp.run(
                condition=RunSteps(num_steps=7),
                run_cfg=configuration("floating_pt", implementation),
            )
        assert np.array_equal(mlp.weights[0], before)
