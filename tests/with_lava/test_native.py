"""The network as a process like any other of Lava's: names, models, variables, and misuse.

That it computes what the reference does in a graph, `test_random_graphs` says.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.compiler import compiler_graphs
from lava.magma.core.process.process import LogConfig
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.io.source import RingBuffer as Sender

from spikebp_lava import (
    PySpikingMLPModelFixed,
    PySpikingMLPModelFloat,
    SampleSource,
    ScoreSink,
    SpikingMLPProcess,
    StandardMLP,
)
from spikebp_plugins import Simulator, UnsupportedError
from spikebp_plugins.network.delays import steps_of_sample
from tests.with_lava.around import EnclosingProcess, Writer
from tests.with_lava.graphs import (
    IMAGES,
    N_SAMPLES,
    N_STEPS,
    NET,
    TAGS,
    Line,
    Loihi2SimCfg,
    Samples,
    assert_learns_at_rates,
    assert_same_state,
    configuration,
)


@pytest.fixture(scope="module")
def samples():
    return Samples()


def test_a_checkpoint_goes_through_all_forms():
    net = NET.replace(timing="pipelined", feedback="random", backward_init="carry")
    samples = Samples(net)
    with Simulator(net, "reference", samples.weights) as sim:
        checkpoint = replace(sim.checkpoint(), input_is_scaled=True)
        sim.train(np.tile(samples.x, (3, 1)), np.tile(samples.y, 3))
        expected = sim.checkpoint().state
    for make, tag in (
        (SpikingMLPProcess, "fixed_pt"),
        (StandardMLP, "floating_pt"),
        (SpikingMLPProcess, "floating_pt"),
    ):
        mlp, source = make(checkpoint), SampleSource(net, samples.x, samples.y)
        source.spikes_out.connect(mlp.spikes_in)
        source.label_out.connect(mlp.label_in)
        n_steps = N_SAMPLES * steps_of_sample(net, net.n_steps)
        mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=configuration(tag))
        mlp.stop()
        checkpoint = mlp.checkpoint()
        assert checkpoint.input_is_scaled
    assert_same_state(checkpoint, expected)


def test_images_of_another_process_are_flattened():
    samples = Samples(IMAGES)
    mlp, n_steps = SpikingMLPProcess(IMAGES, weights=samples.weights), N_SAMPLES * IMAGES.n_steps
    images = np.repeat(samples.x, IMAGES.n_steps, axis=0).T.reshape(5, 4, n_steps)
    Sender(data=images).s_out.flatten().connect(mlp.spikes_in)
    labels = Sender(data=np.repeat(samples.y, IMAGES.n_steps)[np.newaxis])
    labels.s_out.connect(mlp.label_in)
    mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=configuration("fixed_pt"))
    mlp.stop()
    assert_same_state(mlp.checkpoint(), samples.by_reference()[1])


@pytest.mark.parametrize(
    ("net", "tag", "is_enclosed"),
    [
        (NET, "fixed_pt", False),
        (NET.replace(update="normalized", learning_rate=1.0), "floating_pt", True),
        (IMAGES.replace(timing="pipelined", update="outer", bounded=True), "fixed_pt", False),
    ],
    ids=["fractional", "normalized, in another process", "outer, pipelined"],
)
def test_a_rate_is_set_between_samples(net, tag, is_enclosed):
    samples = Samples(net)
    mlp = SpikingMLPProcess(net, weights=samples.weights)
    ports = EnclosingProcess(mlp) if is_enclosed else mlp
    source = SampleSource(net, samples.x, samples.y)
    source.spikes_out.connect(ports.spikes_in)
    source.label_out.connect(ports.label_in)

    def run(n_steps):
        source.run(RunSteps(num_steps=n_steps), configuration(tag))

    with Simulator(net, "reference", samples.weights) as sim:
        assert_learns_at_rates(mlp, run, sim, samples.x, samples.y)


class TestVariables:
    @pytest.mark.parametrize("tag", TAGS)
    def test_weights_are_read_and_written_before_and_between_runs(self, tag):
        """And never in a run, or through a port."""
        line = Line(Samples(IMAGES))
        assert np.array_equal(line.mlp.weight_4.get(), line.mlp.weights[3])
        line.run(5, configuration(tag))
        kernel, sparse = line.mlp.weight_1, line.mlp.weight_3
        unit = 2.0**IMAGES.fraction_bits if tag == "fixed_pt" else 1
        for variable, shape in ((kernel, (3, 3, 1, 3)), (sparse, (36,))):
            variable.set(np.zeros(shape))
            variable.set(unit, idx=-1)
        kernel.set(2 * unit, idx=(1, 1, 0, 2))
        with pytest.raises(ValueError, match=r"weight_1 must be of shape \(3, 3, 1, 3\); got sha"):
            kernel.set(np.zeros((9, 3)))
        with pytest.raises(ValueError, match=r"weight_3 must be on the grid"):
            sparse.set(unit * 2.0 ** -(IMAGES.fraction_bits + 1), idx=0)
        assert kernel.get()[1, 1, 0].tolist() == [0, 0, 2 * unit]
        assert line.mlp.weights[2].tolist() == [0] * 35 + [1]
        for wrong, got in (([1j], "array of complex128"), (np.ma.masked_all(36), "masked array")):
            with pytest.raises(ValueError, match=f"weight_3 must be real numbers.*; got an? {got}"):
                sparse.set(wrong)
        line.mlp.run(RunSteps(num_steps=500, blocking=False))
        with pytest.raises(RuntimeError, match="possible before, between and after runs"):
            kernel.set(np.zeros((3, 3, 1, 3)))
        line.mlp.wait()
        line.mlp.stop()
        kernel.set(np.zeros((3, 3, 1, 3)))
        assert not line.mlp.weights[0].any()

    def test_what_a_step_has_done_is_read_alone(self, samples):
        line = Line(samples)
        for has_run in (False, True):
            for name in ("spike_count_0", "potential_1", "error_3"):
                with pytest.raises(RuntimeError, match=f"variable '{name}' can only be read"):
                    getattr(line.mlp, name).set(np.ones(getattr(line.mlp, name).shape))
            if not has_run:
                line.run(1, configuration("floating_pt"))
        line.mlp.stop()

    def test_a_layer_that_pools_has_no_weights_to_read(self):
        mlp = SpikingMLPProcess(IMAGES)
        message = "there is no variable 'weight_2': all synapses of AveragePool2D weigh 0.25, and "
        with pytest.raises(AttributeError, match=re.escape(message)):
            mlp.weight_2.get()
        assert not hasattr(mlp, "weight_2")
        assert mlp.weights[1].shape == (0,)

    def test_no_weights_are_written_through_a_port(self):
        line, writer = Line(Samples(IMAGES)), Writer((3, 3, 1, 3))
        writer.weight.connect_var(line.mlp.weight_1)
        before = line.mlp.weights[0]
        with pytest.raises(RuntimeError, match=r"a RefPort can read weight.* but not write it"):
            line.run(7, configuration("floating_pt"))
        assert np.array_equal(line.mlp.weights[0], before)


class TestHabitsOfLava:
    def test_ports_have_the_names_of_lavas_own_processes(self, samples):
        mlp, sink = SpikingMLPProcess(NET, weights=samples.weights), ScoreSink(NET, N_SAMPLES)
        source = SampleSource(NET, samples.x, samples.y)
        assert (mlp.s_in, mlp.s_out, mlp.s_in.name) == (mlp.spikes_in, mlp.spikes_out, "spikes_in")
        assert (source.s_out, sink.a_in) == (source.spikes_out, sink.summed_drive_in)
        for process in (mlp, source):
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
            ((NET, None), {}, r"SpikingMLPProcess.* takes 2 positional arguments but 3 were given"),
            ((NET,), {"weight": 1}, r"SpikingMLPProcess.* unexpected keyword argument 'weight'"),
        ],
    )
    def test_wrong_keywords_are_those_of_the_process(self, arguments, keywords, message):
        with pytest.raises(TypeError, match=message) as raised:
            SpikingMLPProcess(*arguments, **keywords)
        assert "__new__" not in str(raised.value)

    def test_lava_finds_the_models_without_executing_files(self, monkeypatch):
        def refuse(name, path):
            raise AssertionError(f"{path} is executed")

        monkeypatch.setattr(compiler_graphs.import_utils, "spec_from_file_location", refuse)
        line = Line(Samples())
        for process in (line.mlp, line.source, line.sink):
            found = compiler_graphs.ProcGroupDiGraphs._find_proc_models(process)
            assert {model.implements_process for model in found} == {type(process)}


class DoublingModel(PySpikingMLPModelFloat):
    """A model of a user's: one that sends twice the spikes."""

    def run_spk(self):
        send, self.spikes_out.send = self.spikes_out.send, lambda spikes: send(2 * spikes)
        super().run_spk()
        self.spikes_out.send = send


class TestModelsByName:
    def test_a_run_configuration_may_name_them(self, samples):
        """A selection that would fail otherwise shows that the named model is taken."""
        line = Line(samples)
        selected = []

        class Selecting(Loihi2SimCfg):
            def select(self, process, models):
                if process is line.mlp:
                    models = [DoublingModel]
                selected.append(super().select(process, models))
                return selected[-1]

        named = {SpikingMLPProcess: PySpikingMLPModelFixed}
        line.run(1, Selecting(select_tag="fixed_pt", exception_proc_model_map=named))
        line.mlp.stop()
        assert PySpikingMLPModelFixed in selected

    def test_a_model_of_ones_own_serves_any_depth(self):
        samples = Samples(NET.replace(layer_sizes=(9, 8, 7, 6, 5, 3)))
        line, fired = Line(samples), Receiver(shape=(3,), buffer=N_STEPS)
        line.mlp.spikes_out.connect(fired.a_in)
        mine = {SpikingMLPProcess: DoublingModel}
        line.run(N_STEPS, Loihi2SimCfg(select_tag="floating_pt", exception_proc_model_map=mine))
        sent = fired.data.get()
        line.mlp.stop()
        trace, state, _ = samples.by_reference()
        assert np.array_equal(sent.T, 2 * trace.spikes[-1].reshape(N_STEPS, 3))
        assert_same_state(line.mlp.checkpoint(), state)

    def test_models_have_types_for_what_networks_show(self):
        assert hasattr(PySpikingMLPModelFixed, "weight_12")
        assert not hasattr(PySpikingMLPModelFixed, "weight_x")
        assert not hasattr(PySpikingMLPModelFixed, "height_1")

    def test_models_of_both_tags_do_not_go_together(self, samples):
        line = Line(samples)
        mixed = {SpikingMLPProcess: PySpikingMLPModelFixed}
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
            (
                {"net": Simulator(NET).checkpoint(), "weights": Samples().weights},
                "weights and feedback must be None with a checkpoint",
            ),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            SpikingMLPProcess(**arguments)

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
        with pytest.raises(ValueError, match="n_samples must be an integer of at least 1; got 0"):
            ScoreSink(NET, 0)

    @pytest.mark.parametrize("with_targets", [False, True])
    def test_a_source_keeps_copies_of_its_samples(self, samples, with_targets):
        line, x = Line(samples), samples.x.copy()
        y = np.eye(3)[samples.y] if with_targets else samples.y.copy()
        mlp, source = SpikingMLPProcess(NET, weights=samples.weights), SampleSource(NET, x, y)
        x[...] = y[...] = 0
        source.spikes_out.connect(mlp.spikes_in)
        if with_targets:
            source.target_out.connect(mlp.target_in)
        else:
            source.label_out.connect(mlp.label_in)
        for runner in (line.mlp, mlp):
            runner.run(RunSteps(N_STEPS), configuration("floating_pt"))
            runner.stop()
        assert_same_state(mlp.checkpoint(), line.mlp.checkpoint().state)

    def test_values_that_are_no_integers_need_floating_pt(self, samples):
        mlp, source = SpikingMLPProcess(NET), SampleSource(NET, samples.x + 0.5)
        source.spikes_out.connect(mlp.spikes_in)
        with pytest.raises(ValueError, match=r"x must be integers in fixed_pt.*; got"):
            mlp.run(condition=RunSteps(num_steps=7), run_cfg=configuration("fixed_pt"))

    @pytest.mark.parametrize(
        ("port", "data"),
        [("spikes_in", np.full((9, 7), 2.0**31)), ("target_in", np.full((3, 7), np.nan))],
    )
    def test_a_buffer_of_real_numbers_sends_nothing_to_fixed_pt(self, port, data):
        """Lava's RingBuffer would truncate them before it sends them."""
        mlp, sender = SpikingMLPProcess(NET), Sender(data=data)
        sender.s_out.connect(getattr(mlp, port))
        message = (
            f"{port} must be sent whole numbers of 32 bits in fixed_pt; got {data[0, 0]} from "
            f"RingBuffer {sender.name!r}"
        )
        with pytest.raises(ValueError, match=message):
            mlp.run(condition=RunSteps(num_steps=7), run_cfg=configuration("fixed_pt"))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"presynaptic": "drive"}, "it knows presynaptic='counts', not"),
        ],
    )
    def test_a_definition_that_is_not_supported_is_refused(self, changes, reason):
        with pytest.raises(UnsupportedError, match=reason):
            SpikingMLPProcess(NET.replace(**changes))

    def test_a_graph_that_is_not_supported_is_refused_before_it_starts(self, samples):
        net, options = NET.replace(timing="pipelined"), {"granularity": "sample"}
        mlp = SpikingMLPProcess(net, weights=samples.weights, **options)
        SampleSource(net, samples.x, **options).spikes_out.connect(mlp.spikes_in)
        Sender(data=np.ones((1, 6))).s_out.connect(mlp.reset_in)
        before = mlp.weights
        steps, run_cfg = RunSteps(num_steps=6), configuration("floating_pt")
        with pytest.raises(UnsupportedError, match="a message has the way through the network in"):
            mlp.run(condition=steps, run_cfg=run_cfg)
        assert all(map(np.array_equal, mlp.weights, before))
        with pytest.raises(RuntimeError, match=r"has ended \(it could not be started\)"):
            mlp.run(condition=steps, run_cfg=run_cfg)
        mlp.stop()
