"""Graphs of NIR: our own give back the same network, others one of their units, or a reason."""

import json
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP
from tests.core.small_nets import (
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
    trained,
)
from tests.documentation import ROOT, sections

pytest.importorskip("nir", reason="nir is not installed")

import nir

from spikebp_plugins.nir import (
    METADATA_KEY,
    ApproximationWarning,
    from_nir,
    load_nir,
    save_nir,
    to_nir,
)

RANDOM = small_net(feedback="random")
APPROXIMATE = pytest.mark.filterwarnings("ignore::spikebp_plugins.nir.ApproximationWarning")


@pytest.fixture
def graph():
    """The graph of a trained network."""
    with pytest.warns(ApproximationWarning):
        return to_nir(trained(RANDOM))


@APPROXIMATE
def test_the_graph_is_what_other_tools_read(graph):
    checkpoint = trained(RANDOM)
    assert list(graph.nodes) == [
        *("input", "linear_1", "if_1", "linear_2", "if_2", "linear_3", "output")
    ]
    assert graph.check_types()
    assert graph.input_type["input"].tolist() == [3]
    assert graph.output_type["output"].tolist() == [2]
    for layer, weights in enumerate(checkpoint.state.weights, 1):
        written = graph.nodes[f"linear_{layer}"].weight
        assert written.dtype == np.float32
        assert written.flags.c_contiguous
        np.testing.assert_array_equal(written, weights.T.astype(np.float32))
    for name, size in (("if_1", 5), ("if_2", 4)):
        node = graph.nodes[name]
        assert [node.r.tolist(), node.v_threshold.tolist()] == [[1.0] * size] * 2
        assert node.v_reset.tolist() == [0.0] * size
    metadata = graph.metadata[METADATA_KEY]
    assert json.loads(metadata["definition"].tobytes()) == checkpoint.net.to_dict()
    assert metadata["weights_2"].dtype == np.int16


def test_numbers_of_the_graph_give_scores_that_differ_by_half_a_spike_for_each_unit():
    """An interpreter of three lines, that subtracts and fires several times as sinabs does."""
    net = small_net((3, 40, 2), n_steps=400)
    sim = lively_simulator(net)
    x, _ = samples(net, 6)
    trace = sim.predict(x, record=True)
    with pytest.warns(ApproximationWarning):
        nodes = to_nir(sim.checkpoint()).nodes
    for shown, spikes, score in zip(trace.spikes[0], trace.spikes[1], trace.scores, strict=True):
        potential, counts = np.zeros(40), np.zeros(40)
        for k in shown:
            potential += nodes["linear_1"].weight.astype(np.float64) @ k
            fired = np.maximum(np.ceil(potential - nodes["if_1"].v_threshold), 0)
            potential -= fired
            counts += fired
        lost = spikes.sum(axis=0) - counts
        assert set(lost) == {0, 1}
        output = nodes["linear_2"].weight.astype(np.float64) @ counts / net.n_steps
        limit = np.abs(nodes["linear_2"].weight) @ lost / net.n_steps
        assert (np.abs(output - score) <= limit + 1e-12).all()


HALF_A_SPIKE = ", or that units start half a spike below their threshold and subtract it"
SEVERAL_SPIKES = ", or that they may fire several times in a step"


@pytest.mark.parametrize(
    ("net", "losses"),
    [
        (small_net((3, 2)), ""),
        (small_net(spikes="binary"), HALF_A_SPIKE),
        (small_net(), HALF_A_SPIKE + SEVERAL_SPIKES),
    ],
)
def test_one_sentence_says_what_others_will_not_see(net, losses, tmp_path):
    checkpoint = lively_simulator(net).checkpoint()
    with pytest.warns(ApproximationWarning) as exported:
        to_nir(checkpoint)
    with pytest.warns(ApproximationWarning) as saved:
        save_nir(tmp_path / "net.nir", checkpoint)
    for warning in (*exported, *saved):
        assert str(warning.message) == (
            f"other tools will not see what this network learns by{losses}; docs/nir.md measures "
            "what that costs"
        )
        assert warning.filename == __file__  # shown at the line of the user
    assert len(exported) == len(saved) == 1


def chain(*nodes, **changes):
    """Return a graph of nodes in a row; changes replace what it is made of."""
    named = {f"{type(node).__name__.lower()}_{i}": node for i, node in enumerate(nodes)}
    parts = {"nodes": named, "edges": list(pairwise(named))}
    return nir.NIRGraph(**(parts | changes), type_check=False)


def units(size, r=1.0, v_threshold=1.0, v_reset=0.0):
    return nir.IF(
        r=np.full(size, r), v_threshold=np.full(size, v_threshold), v_reset=np.full(size, v_reset)
    )


W1 = np.arange(6.0).reshape(2, 3) / 8
W2 = np.array([[1.0, -2.0]])
START, END = nir.Input(np.array([3])), nir.Output(np.array([1]))


@pytest.mark.parametrize("fires", [False, True], ids=["Linear", "IF"])
@pytest.mark.parametrize("affine", [False, True], ids=["Linear", "Affine"])
def test_a_foreign_graph_gives_a_network(fires, affine, tmp_path):
    first = nir.Affine(W1, np.zeros(2)) if affine else nir.Linear(W1)
    last = [units(1)] if fires else []
    graph = chain(START, first, units(2), nir.Linear(W2), *last, END)
    nir.write(tmp_path / "net.nir", graph)
    for source in (graph, tmp_path / "net.nir"):
        with pytest.warns(ApproximationWarning, match="spikes will not be those") as caught:
            checkpoint = from_nir(source)
        assert caught[0].filename == __file__
        assert checkpoint.net == SpikingMLP.paper((3, 2, 1))
        assert_all_equal(checkpoint.state.weights, (W1.T, W2.T))
        assert checkpoint.state.samples_seen == 0
        assert not checkpoint.state.backward_potentials[0].any()


def test_a_foreign_graph_that_fires_nowhere_is_exact():
    assert_all_equal(
        from_nir(chain(nir.Input(np.array([2])), nir.Linear(W2), END)).state.weights, [W2.T]
    )


@APPROXIMATE
def test_units_are_scaled_so_that_a_spike_costs_1():
    spikes = nir.IF(
        r=np.array([1.0, 3.0]), v_threshold=np.array([2.0, 1.0]), v_reset=np.array([0.0, -0.5])
    )
    graph = chain(START, nir.Linear(W1), spikes, nir.Linear(W2), units(1, 1.0, 0.25), END)
    checkpoint = from_nir(graph, SpikingMLP.paper((3, 2, 1), fraction_bits=20))
    first, second = checkpoint.state.weights
    np.testing.assert_array_equal(first, W1.T * [0.5, 2.0])
    np.testing.assert_array_equal(second, W2.T * 4)


@APPROXIMATE
def test_parameters_without_dimensions_are_those_of_all_units():
    spikes = nir.IF(r=np.array(3.0), v_threshold=np.array(1.0), v_reset=np.array(-0.5))
    graph = chain(START, nir.Linear(W1), spikes, nir.Linear(W2), END)
    first, _ = from_nir(graph, SpikingMLP.paper((3, 2, 1), fraction_bits=20)).state.weights
    np.testing.assert_array_equal(first, W1.T * 2)


@APPROXIMATE
def test_weights_are_rounded_to_the_grid_of_the_definition():
    graph = chain(START, nir.Linear(W1 / 3), units(2), nir.Linear(W2), END)
    net = SpikingMLP.paper((3, 2, 1), learning_rate=0.5, fraction_bits=9, feedback="random")
    checkpoint = from_nir(graph, net)
    assert checkpoint.net is net
    assert_all_equal(checkpoint.state.weights, Simulator(net, weights=[W1.T / 3, W2.T]).weights)
    with pytest.raises(
        ValueError, match=re.escape("must be (3, 2, 1), as in the graph; got (3, 1)")
    ):
        from_nir(graph, SpikingMLP.paper((3, 1)))
    with pytest.raises(OverflowError, match="weight of layer 1"):
        from_nir(chain(START, nir.Linear(W1 * 1e18), units(2), nir.Linear(W2), END))


@APPROXIMATE
def test_our_own_graph_without_its_metadata_is_a_foreign_one(graph):
    graph.metadata = {}
    checkpoint = from_nir(graph)
    assert_all_equal(checkpoint.state.weights, trained(RANDOM).state.weights)
    assert checkpoint.state.samples_seen == 0


CONVOLUTION = nir.Conv1d(
    input_shape=3, weight=np.ones((1, 1, 1)), stride=1, padding=0, dilation=1, groups=1, bias=W2[0]
)
ROW = {"input": START, "a": nir.Linear(W1), "b": units(2), "c": nir.Linear(W2), "output": END}
REFUSED = {
    "node 'conv1d_1' of type Conv1d": chain(START, CONVOLUTION, END),
    "node 'nirgraph_1' of type NIRGraph": chain(START, chain(START, nir.Linear(W1), END), END),
    "Affine node 'affine_1' with a bias": chain(START, nir.Affine(W1, np.ones(2)), units(2), END),
    "bias of node 'affine_1' that is no array": chain(START, nir.Affine(W1, "none"), END),
    "IF node 'if_1' with no Linear before it": chain(START, units(3), nir.Linear(W1), END),
    "IF node 'if_3' with no Linear before": chain(START, nir.Linear(W1), units(2), units(2), END),
    "'linear_2' with no IF between it and 'linear_1'": chain(
        START, nir.Linear(W1), nir.Linear(W2), END
    ),
    "no Linear": chain(nir.Input(np.array([1])), END),
    "weights of 'linear_1' of shape (1, 2) behind 3 units": chain(START, nir.Linear(W2), END),
    "weights of 'linear_1' of shape (1, 2, 3)": chain(START, nir.Linear(W1[np.newaxis]), END),
    "weight of node 'linear_1' that is not finite": chain(START, nir.Linear(W1 * np.nan), END),
    "IF node 'if_2' of shape (3,) behind 2 units": chain(START, nir.Linear(W1), units(3), END),
    "Output node 'output_2' of another shape than the 2 units": chain(START, nir.Linear(W1), END),
    "'input_0' of shape [[1, 3]], not of one dimension": chain(
        nir.Input(np.array([1, 3])), nir.Linear(W1), END
    ),
    "an edge of 'x', which is no node": chain(nodes=ROW, edges=[("input", "x")]),
    "'input' with more than one edge": chain(nodes=ROW, edges=[("input", "a"), ("input", "b")]),
    "'b' with more edges to it": chain(nodes=ROW, edges=[("a", "b"), ("b", "c"), ("c", "b")]),
    "'input' with more edges to it": chain(nodes=ROW, edges=[("a", "input"), ("input", "a")]),
    "Input nodes []": chain(nodes={"output": END}, edges=[]),
    "Input nodes ['input', 'other']": chain(nodes=ROW | {"other": START}, edges=[]),
    "node 'c', to which nothing leads": chain(nodes=ROW, edges=[("input", "a"), ("a", "b")]),
    "node 'linear_1' at the end, with no Output": chain(START, nir.Linear(W1)),
    **{
        f"IF node 'if_2' whose r, v_threshold or cost of a spike is not positive{' ' * i}": chain(
            START, nir.Linear(W1), units(2, *values), END
        )
        for i, values in enumerate([(0,), (-1,), (1, 0), (1, -1, -2), (1, 1, 1), (1, 1, 2)])
    },
}


@pytest.mark.parametrize("reason", REFUSED)
def test_another_graph_is_refused_by_name(reason):
    with pytest.raises(ValueError, match=re.escape(reason.strip())) as caught:
        from_nir(REFUSED[reason])
    assert "graph must be a chain of Input, Linear (or Affine without bias), IF" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (next(iter(REFUSED.values())), "graph must be a chain"),
        (chain(START, nir.Linear(np.full((1, 3), 1e300)), END), "must stay below"),
    ],
    ids=["refused", "out of range"],
)
def test_an_error_about_a_file_names_it(graph, message, tmp_path):
    path = tmp_path / "net.nir"
    nir.write(path, graph)
    with pytest.raises((ValueError, OverflowError), match=message) as of_the_file:
        load_nir(path)
    with pytest.raises(type(of_the_file.value), match=message) as of_the_graph:
        from_nir(graph)
    assert str(of_the_file.value) == f"{path}: {of_the_graph.value}"


@pytest.mark.parametrize("graph", [None, 5, {"nodes": {}}, nir.Linear(W1)], ids=type)
def test_what_is_no_graph_is_refused(graph):
    with pytest.raises(ValueError, match=r"graph must be a nir\.NIRGraph or the path of one"):
        from_nir(graph)


@pytest.mark.parametrize("change", [lambda w: w + 1, lambda w: w[:, :2]], ids=["values", "shape"])
def test_a_graph_that_contradicts_its_metadata_is_refused(graph, change):
    node = nir.Linear(change(graph.nodes["linear_3"].weight))
    if node.weight.shape != (2, 4):
        graph.nodes |= {
            "linear_2": nir.Linear(graph.nodes["linear_2"].weight[:2]),
            "if_2": units(2),
        }
    graph.nodes["linear_3"] = node
    with pytest.raises(ValueError, match="no longer the one in its metadata, node 'linear_"):
        from_nir(graph)


def test_a_unit_that_was_changed_is_refused(graph):
    graph.nodes["if_1"] = units(5, v_threshold=0.5)
    with pytest.raises(ValueError, match="node 'linear_1' has other weights"):
        from_nir(graph)


def test_layers_that_were_added_or_taken_away_are_refused(graph):
    graph.nodes["if_3"] = units(2)
    graph.edges[-1:] = [("linear_3", "if_3"), ("if_3", "output")]
    with pytest.raises(ValueError, match="it has 3 layers, of which 3 fire"):
        from_nir(graph)
    del graph.nodes["linear_3"], graph.nodes["if_3"]
    graph.nodes["output"] = nir.Output(np.array([4]))
    graph.edges[-3:] = [("if_2", "output")]
    with pytest.raises(ValueError, match="it has 2 layers, of which 2 fire"):
        from_nir(graph)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (5, "metadata 'spikebp_plugins' must be a mapping of arrays; got 5"),
        ({}, "the metadata of the graph is not a readable checkpoint: it holds no definition"),
        ({"format_version": 3}, "checkpoint format 3, newer than the 2"),
        ({"definition": np.zeros(3, np.uint8)}, "is not a readable checkpoint"),
    ],
)
def test_damaged_metadata_are_refused(graph, change, message):
    if isinstance(change, dict) and change:
        change = graph.metadata[METADATA_KEY] | change
    graph.metadata[METADATA_KEY] = change
    with pytest.raises(ValueError, match=re.escape(message)):
        from_nir(graph)


@APPROXIMATE
def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in sections("docs/nir.md").values():
        exec(code, names)
    assert checkpoint_bytes(load_nir("digits.nir")) == checkpoint_bytes(names["checkpoint"])


@pytest.mark.thorough
def test_the_benchmark_reads_graphs_with_its_own_interpreter():
    command = [sys.executable, str(ROOT / "benchmarks" / "nir_agreement.py")]
    options = [
        "--epochs",
        "4",
        "--layers",
        "40",
        "--steps",
        "10",
        "--readers",
        "equations",
        "--json",
    ]
    printed = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    rows = json.loads(printed.stdout)["rows"]
    assert [(row["reader"], row["input"], row["n_steps"]) for row in rows] == [
        ("equations", "values", 10),
        ("equations", "spikes", 10),
    ]
    assert all(0.9 < row["agreement"] <= 1 for row in rows)
