"""The graph of Lava's own synapses is a process like any other, and in fixed_pt the engine's model.

That it equals the reference in floating_pt, `test_backend` and `test_random_graphs` say.
"""

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.learning.learning_rule_applier import LearningRuleApplierBitApprox
from lava.magma.core.model.py.connection import LearningConnectionModelBitApproximate
from lava.magma.core.run_conditions import RunSteps
from lava.proc.dense.process import Dense, LearningDense
from lava.proc.io.source import RingBuffer as Sender
from lava.proc.monitor.process import Monitor
from lava.utils.weightutils import SignMode, clip_weights

from spikebp_lava import SampleSource, StandardMLP, SubStandardMLPModel
from spikebp_lava.engine import BITS_BEHIND, LARGEST_EXPONENT, LARGEST_FACTOR, EngineRate
from spikebp_plugins import AveragePool2D, Checkpoint, Conv2D, Simulator, Sparse, UnsupportedError
from tests.profiles import examples
from tests.with_lava import engine_mlp
from tests.with_lava.around import EnclosingProcess
from tests.with_lava.engine_mlp import LARGEST_TRACE, EngineMLP
from tests.with_lava.graphs import (
    CHIP,
    PIPELINED,
    Loihi2SimCfg,
    StandardLine,
    assert_learns_at_rates,
    assert_same_state,
    of_layers,
)

FLOATING = Loihi2SimCfg(select_tag="floating_pt")
FIXED_NETS = {
    "binary spikes": CHIP.replace(spikes="binary"),
    "1 layer of weights": CHIP.replace(layer_sizes=(9, 3)),
    "4 layers of weights": CHIP.replace(layer_sizes=(9, 8, 7, 5, 3)),
    "random feedback": CHIP.replace(feedback="random"),
    "potentials zeroed": CHIP.replace(backward_init="zero"),
    "other exponents": CHIP.replace(weight_exponent=-5, fraction_bits=9),
    "traces that are full": CHIP.replace(learning_rate=0.002, input_scale=10.0),
    "messages that are full": CHIP.replace(learning_rate=0.002, input_scale=40.0),
    "labels that ask for other numbers": CHIP.replace(label_targets=(-0.3, 2.7)),
    "weights that saturate": CHIP.replace(learning_rate=20.0),
}


@pytest.mark.parametrize(
    "net",
    [
        pytest.param(net, id=name, marks=() if turn % 6 == 0 else pytest.mark.thorough)
        for turn, (name, net) in enumerate(FIXED_NETS.items())
    ],
)
def test_in_fixed_pt_it_is_the_network_of_the_engines_model(net, make_line):
    line = make_line(net)
    model, L = EngineMLP(line.start), net.n_layers
    trained = line.show()
    assert trained.diff(model.train(line.x, line.y)) is None
    # Random numbers go on while nothing is learned.
    assert line.show(training=False).diff(model.predict(line.x)) is None
    # Weights are set between runs, in all synapses that hold them.
    other = 0.5 * model.state.weights[L - 1]
    other = np.rint(np.ldexp(other, -net.weight_exponent)) * 2.0**net.weight_exponent
    getattr(line.mlp, f"weight_{L}").set(other)
    model.state = model.state._replace(weights=(*model.state.weights[:-1], other))
    assert line.show().diff(model.train(line.x, line.y)) is None
    assert_same_state(Checkpoint(net, line.mlp.shared.memory.state), model.state)
    for l in range(2, L + 1):
        up, down = (line.part(f"{way}_{l}").weights.get() for way in ("forward", "backward"))
        assert np.array_equal(up.T * 2.0**net.weight_exponent, line.mlp.weights[l - 1])
        assert net.feedback == "random" or np.array_equal(up, down.T)
    # The engine has one bit more than the definition, where weights saturate.
    for held, kept in zip(line.mlp.weights, line.mlp.checkpoint().state.weights, strict=True):
        unit = 2.0**net.weight_exponent
        assert np.array_equal(kept, np.clip(held, -128 * unit, 127 * unit))
    assert all(k.any() for k in trained.spikes)
    assert all(e.any() for e in trained.errors[1:])
    if net.input_scale != CHIP.input_scale:
        assert trained.spikes[0].sum(axis=1).max() > LARGEST_TRACE


@pytest.mark.parametrize(
    "update", [pytest.param("fractional", marks=pytest.mark.thorough), "outer"]
)
def test_a_rate_is_set_between_samples(update):
    line = StandardLine(PIPELINED.replace(update=update)).connect()

    def run(n_steps):
        line.source.run(RunSteps(num_steps=n_steps), FLOATING)

    with line.start.simulate("reference") as sim:
        assert_learns_at_rates(line.mlp, run, sim, line.x, line.y)


@pytest.mark.thorough
def test_in_fixed_pt_a_rate_is_that_of_the_engine(make_line):
    """Also where it has another exponent, for which synapses get another rule."""
    line = make_line(CHIP)
    model = EngineMLP(line.start)
    for rate in (CHIP.learning_rate, 4 * CHIP.learning_rate, CHIP.learning_rate / 3):
        line.mlp.learning_rate = rate
        model.take_rate(CHIP.at_rate(rate))
        assert line.show().diff(model.train(line.x, line.y)) is None
    with pytest.raises(ValueError, match=r"learning_rate must be from .* for Lava's engine"):
        line.mlp.learning_rate = 1e-3
    assert line.mlp.checkpoint().net == CHIP.at_rate(rate)


@settings(max_examples=examples(200))
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(0, LARGEST_EXPONENT),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_the_model_learns_as_lavas_own_functions_do(seed, exponent, draw):
    """Of the whole range of weights, traces and third factors."""
    random = np.random.RandomState(seed)
    weights = random.randint(engine_mlp.LOWEST_WEIGHT, engine_mlp.HIGHEST_WEIGHT + 1, (7, 9))
    trace = random.randint(0, LARGEST_TRACE + 1, 9)
    largest = LARGEST_FACTOR // 2
    factor = 2 * random.randint(-largest, largest + 1, 7)
    rule = Loihi3FLearningRule(dw=EngineRate(1, exponent).rule, rng_seed=0)
    shift = BITS_BEHIND
    sums = LearningRuleApplierBitApprox(rule.dw).apply(
        weights << shift, shape=weights.shape, u=1, x1_u=trace[np.newaxis], y1_u=factor[:, None]
    )
    rounded = LearningConnectionModelBitApproximate._stochastic_round_synaptic_variable(
        "weights", sums, draw
    )
    expected = clip_weights(rounded >> shift, SignMode.MIXED, 8)
    assert np.array_equal(engine_mlp.learned(weights, trace, factor, exponent, draw), expected)


@pytest.mark.parametrize(
    ("update", "following", "kind"),
    [("fractional", "copy", Dense), ("outer", "learn", LearningDense)],
)
def test_what_leads_down_is_the_transpose_of_what_leads_up(update, following, kind, make_line):
    line = make_line(PIPELINED.replace(update=update), following=following)
    trace, state = line.by_reference()
    assert line.show().diff(trace) is None
    assert_same_state(line.mlp.checkpoint(), state)
    for l in (2, 3):
        up, down = line.part(f"forward_{l}"), line.part(f"backward_{l}")
        assert (type(up), type(down)) == (LearningDense, kind)
        assert np.array_equal(up.weights.get(), down.weights.get().T)
        assert np.array_equal(up.weights.get().T, line.mlp.weights[l - 1])


class NamedModel(SubStandardMLPModel):
    """A model of a user's, which run configurations select by the class of the process."""

    made = 0

    def __init__(self, proc):
        super().__init__(proc)
        NamedModel.made += 1


@pytest.mark.parametrize(
    "options",
    [
        {},  # without a tag Lava takes the model of each process that it finds first
        {"select_tag": "floating_pt", "exception_proc_model_map": {StandardMLP: NamedModel}},
    ],
    ids=["no tag", "a model by name"],
)
def test_run_configurations_select_its_models(options, make_line):
    line, made = make_line(PIPELINED), NamedModel.made
    assert line.show(run_cfg=Loihi2SimCfg(**options)).diff(line.by_reference()[0]) is None
    assert NamedModel.made == made + ("exception_proc_model_map" in options)


def test_a_process_that_contains_it_takes_its_variables_for_its_own():
    line = StandardLine(PIPELINED)
    outer, mlp = EnclosingProcess(line.mlp), line.mlp
    line.connect(outer).show()
    assert outer.spike_count_1.aliased_var is mlp.spike_count_1
    assert np.array_equal(outer.spike_count_1.get(), line.part("layer_1").spike_count.get())
    outer.stop()
    assert_same_state(mlp.checkpoint(), line.by_reference()[1])


class TestMisuse:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            (
                {"layer_sizes": (40_000, 1)},
                "hold the spikes of 33026 units in fixed_pt, not those of 40000",
            ),
            ({"timing": "immediate"}, "they know timing='pipelined', not timing='immediate'"),
            ({"arithmetic": "fixed", "presynaptic": "drive"}, "it knows presynaptic='counts'"),
        ],
    )
    def test_what_the_graph_does_not_run(self, changes, reason):
        with pytest.raises(UnsupportedError, match=f"StandardMLP cannot run .*{reason}"):
            StandardMLP(CHIP.replace(**changes))

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (Conv2D(2, 2), "Conv2D connections: the kernel of Lava's Conv does not learn, and .*"),
            (AveragePool2D(2), "AveragePool2D connections: they are not built on Lava's Conv"),
            (
                Sparse(2, density=0.5),
                "Sparse connections: they are not built on Lava's LearningSparse",
            ),
        ],
    )
    def test_standard_parts_are_dense(self, layer, reason):
        net = of_layers(layer, timing="pipelined", learning_rate=0.1)
        chip = net.replace(arithmetic="loihi2")
        reason = f"of standard parts there are no {reason}"
        for refused in (
            lambda: StandardMLP(net),
            lambda: StandardMLP(chip),
            lambda: Simulator(net, "lava", tag="floating_pt", implementation="standard"),
        ):
            with pytest.raises(UnsupportedError, match=f"{reason}$"):
                refused()

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

    def test_negative_spikes_have_no_trace_in_fixed_pt(self):
        x = np.array([[1, 1, 1, -4, 1, 1, 1, 1, 1]])
        mlp, source = StandardMLP(CHIP), SampleSource(CHIP, x)
        source.spikes_out.connect(mlp.spikes_in)
        with pytest.raises(ValueError, match="layer 0 must be without negative spikes in fixed_pt"):
            mlp.run(RunSteps(num_steps=7), Loihi2SimCfg(select_tag="fixed_pt"))
        with pytest.raises(ValueError, match="layer 0 must be without negative spikes in fixed_pt"):
            EngineMLP(mlp.checkpoint()).predict(x)

    @pytest.mark.parametrize("learning", [False, True])
    def test_nothing_is_learned_without_a_label(self, learning):
        mlp = StandardMLP(PIPELINED, learning=learning)
        SampleSource(PIPELINED, np.ones((1, 9))).spikes_out.connect(mlp.spikes_in)
        Sender(data=np.full((1, 2), -1)).s_out.connect(mlp.label_in)
        before = mlp.weights
        mlp.run(RunSteps(num_steps=12), FLOATING)
        assert all(map(np.array_equal, mlp.weights, before))
        assert mlp.checkpoint().state.samples_seen == 0
        mlp.stop()

    def test_a_label_is_known_at_all_steps_of_a_sample_or_at_none(self):
        mlp = StandardMLP(PIPELINED)
        SampleSource(PIPELINED, np.ones((1, 9))).spikes_out.connect(mlp.spikes_in)
        Sender(data=np.array([[-1] * 6 + [1] * 6])).s_out.connect(mlp.label_in)
        with pytest.raises(ValueError, match=r"at none with .*; got one that comes at step 7"):
            mlp.run(RunSteps(num_steps=12), FLOATING)

    @pytest.mark.parametrize(
        ("changes", "port", "value", "message"),
        [
            ({}, "label_in", 1.5, "label_in must be whole numbers; got 1.5"),
            (
                {"input_coding": "spikes", "input_scale": 1.0},
                "spikes_in",
                1.5,
                "spikes_in must be whole numbers with input_coding='spikes'; got 1.5",
            ),
            ({}, "reset_in", 1, "reset_in must be 0 from the end of a sample's input to the next"),
            (
                {"arithmetic": "loihi2"},
                "label_in",
                1.5,
                "label_in must be sent whole numbers of 32 bits in fixed_pt; got 1.5 from",
            ),
        ],
    )
    def test_values_that_are_no_message_end_the_run(self, changes, port, value, message):
        mlp = StandardMLP(PIPELINED.replace(**changes))
        n = getattr(mlp, port).shape[0]
        Sender(data=np.full((n, 2), value)).s_out.connect(getattr(mlp, port))
        with pytest.raises(ValueError, match=message):
            mlp.run(RunSteps(num_steps=5), Loihi2SimCfg(select_tag=mlp.tag))

    def test_a_graph_is_for_the_models_of_one_tag(self, make_line):
        with pytest.raises(
            ValueError, match="select_tag must be 'fixed_pt' with arithmetic='loihi2'; got"
        ):
            make_line(CHIP).show(run_cfg=FLOATING)

    def test_a_matrix_of_the_synapses_is_set_with_all_that_follow(self, make_line):
        line = make_line(PIPELINED)
        mlp = line.mlp
        mlp.create_runtime(run_cfg=FLOATING)
        with pytest.raises(RuntimeError, match="weight_2 can be set before the graph is made, and"):
            mlp.weight_2.set(mlp.weight_2.get())
        line.show()
        with pytest.raises(RuntimeError, match="weights of 'forward_2' can only be read; set wei"):
            line.part("forward_2").weights.set(np.zeros((7, 8)))
        for name in ("forward_weight_2", "potential_1"):
            with pytest.raises(RuntimeError, match=f"'{name}' can only be read"):
                getattr(mlp, name).set(np.zeros(getattr(mlp, name).shape))
        with pytest.raises(ValueError, match=r"weight_2 must be of shape \(8, 7\); got shape"):
            mlp.weight_2.set(np.zeros((7, 8)))

    def test_a_monitor_probes_what_the_synapses_hold(self, make_line):
        line = make_line(PIPELINED)
        Monitor().probe(line.mlp.weight_1, 5)
        with pytest.raises(ValueError, match="Monitor must be 'forward_weight_1', which the syn"):
            line.show()

    def test_labels_or_targets_teach_and_not_both(self, make_line):
        line = make_line(PIPELINED)
        Sender(data=np.ones((3, 2))).s_out.connect(line.mlp.target_in)
        with pytest.raises(ValueError, match="connect label_in or target_in, not both"):
            line.show()
