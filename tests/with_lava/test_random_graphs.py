"""Random graphs are equal to the reference or refused; deliberate faults make them differ."""

import re

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_lava.processes.layers import LayerModel
from spikebp_lava.schedule import PipelinedSchedule, Schedule
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from tests.with_lava.random_graphs import draw, judge, refusal

#: Short graphs that together are of nearly all kinds.
SEEDS = (14, 20, 24, 44, 50, 176)
#: The same of graphs with connections of all kinds.
SEEDS_OF_ALL_KINDS = (25, 51)


def assert_not_different(graph):
    verdict = judge(graph)
    assert verdict.outcome in ("equal", "refused"), f"{graph}\n{verdict.reason}"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_graph_is_equal_to_the_reference(seed):
    assert judge(draw(seed)) == ("equal", "")


@pytest.mark.parametrize("seed", SEEDS_OF_ALL_KINDS)
def test_a_graph_with_connections_of_all_kinds_is_equal_to_the_reference(seed):
    graph = draw(seed, has_all_kinds=True)
    assert not all(part.net.is_dense for part in graph.parts)
    assert judge(graph) == ("equal", "")


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_any_graph_with_connections_of_all_kinds_is_equal_or_refused(seed):
    assert_not_different(draw(seed, has_all_kinds=True))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000, 1025))
def test_any_graph_is_equal_to_the_reference_or_refused(seed):
    assert_not_different(draw(seed))


def test_the_same_seed_draws_the_same_graph():
    for seed in SEEDS:
        assert draw(seed) == draw(seed)


def opening_no_sample_anew(monkeypatch):
    for cls in (Schedule, PipelinedSchedule):
        advance = cls.advance

        def never_opens(self, *arguments, sound=advance):
            return sound(self, *arguments)._replace(opens=False)

        monkeypatch.setattr(cls, "advance", never_opens)


def sending_no_errors_down(monkeypatch):
    sound = LayerModel._send_down
    monkeypatch.setattr(LayerModel, "_send_down", lambda self, _: sound(self, False))


@pytest.mark.parametrize(
    ("put", "seed"),
    [
        (opening_no_sample_anew, 20),
        pytest.param(sending_no_errors_down, 12, marks=pytest.mark.thorough),
    ],
)
def test_a_fault_is_found_with_its_first_step(put, seed, monkeypatch):
    put(monkeypatch)
    verdict = judge(draw(seed))
    assert verdict.outcome == "different"
    assert re.match(r"(first|second) network, step \d+: ", verdict.reason)


def test_an_error_of_lava_or_numpy_is_no_refusal():
    net = SpikingMLP((2, 2), arithmetic="float64")
    with pytest.raises(UnsupportedError) as refused:
        Simulator(net, "lava", tag="fixed_pt")
    assert refusal(refused.value).startswith("UnsupportedError: ")
    assert refusal(ValueError("run_cfg must not be None when calling Process.run()")) is None
    assert refusal(RuntimeError("a process of the Lava graph was killed by signal 9")) is None
