"""Deliberate faults in Lava's processes are found by the suite, at their step and layer.

Processes are forked, so what is changed here before a graph starts is changed in them.
"""

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_lava import synapses
from spikebp_lava.memory import SharedNetwork
from spikebp_lava.port_reader import PortReader
from spikebp_lava.processes import network, neurons
from spikebp_lava.processes.network import PySpikingMLPModel
from spikebp_lava.processes.weight_manager import WeightManagerModel
from spikebp_plugins import Simulator
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.rules import step
from tests.mutations import IN_REFERENCE, mutated
from tests.with_lava import engine_mlp
from tests.with_lava.engine_mlp import EngineMLP
from tests.with_lava.graphs import CHIP, NET, PIPELINED, Loihi2SimCfg, Samples
from tests.with_lava.random_graphs import Graph, play

pytestmark = pytest.mark.thorough


def with_faulty_rule(name):
    """Return a function that lets neurons follow the rule as it is when a fault is in it."""

    def put(fault, monkeypatch):
        with pytest.MonkeyPatch.context() as patch:
            IN_REFERENCE[fault](patch)
            faulty = getattr(step, name)
        monkeypatch.setattr(neurons, name, faulty)

    return put


def without_reset(_, monkeypatch):
    """Let neurons begin a sample as if potentials lasted longer."""
    sound = neurons.LearningModel._open

    def faulty(self):
        kept = {name: getattr(self, name, None) for name in ("_phi", "_s")}
        sound(self)
        vars(self).update({name: values for name, values in kept.items() if values is not None})

    monkeypatch.setattr(neurons.LearningModel, "_open", faulty)


#: How faults of the rules are put into neurons, which call the rules of the reference.
RULES = {
    "a threshold that is only reached fires": with_faulty_rule("forward"),
    "the gate of hidden layers is shut at 0": with_faulty_rule("backward"),
    "the gate of the output is shut at 0": with_faulty_rule("output_error"),
    "potentials and summed drives are not reset": without_reset,
}


@pytest.mark.parametrize("fault", RULES)
def test_a_fault_in_neurons_is_found_where_it_is(fault, monkeypatch, make_line):
    # With these numbers thresholds are reached exactly, and drives sum up to 0.
    line = make_line(NET.replace(timing="pipelined", input_scale=1.0, fraction_bits=8))
    sound, _ = line.by_reference()
    with pytest.MonkeyPatch.context() as patch:
        IN_REFERENCE[fault](patch)
        expected = line.by_reference()[0].diff(sound)
    assert expected is not None
    RULES[fault](fault, monkeypatch)
    assert line.show().diff(sound) == expected


def opening_no_sample_anew(monkeypatch):
    context = PortReader._context
    never_opens = lambda self, *given: context(self, *given)._replace(opens=False)  # noqa: E731
    monkeypatch.setattr(PortReader, "_context", never_opens)


def hearing_no_label(monkeypatch):
    monkeypatch.setattr(PortReader, "_target", lambda *_: None)


def sending_what_the_sample_has_sent(monkeypatch):
    faulty = mutated(PySpikingMLPModel.run_spk, ("_of_sample(L) - before", "_of_sample(L)"))
    monkeypatch.setattr(PySpikingMLPModel, "run_spk", faulty)


def showing_the_potentials_of_the_layer_below(monkeypatch):
    def of_another(engine, l):
        return engine.potentials(l - 1)[: engine.potentials(l).size]

    monkeypatch.setitem(network.READ, "potential", (of_another, True))


def counting_what_is_half_shown(monkeypatch):
    sound = StepNetwork.counts

    def faulty(self):
        _, updates, *_ = self._sample_counts()
        shown, trained, before, *others = sound(self)
        return [shown, trained, before + updates, *others]

    monkeypatch.setattr(StepNetwork, "counts", faulty)


#: Faults in the form of one process, and what differs then.
IN_LEAF = [
    (opening_no_sample_anew, "spike|output|drive|error|potential"),
    (hearing_no_label, "error|weight|output|drive"),
    (sending_what_the_sample_has_sent, "output"),
    (showing_the_potentials_of_the_layer_below, "potential"),
]


def a_graph(timing, n_messages):
    return Graph(
        net=NET.replace(timing=timing),
        form="leaf",
        tag="fixed_pt",
        base=Loihi2SimCfg,
        input="changing",
        answer="labels",
        has_resets=False,
        is_nested=False,
        monitors=(("error", 1), ("weight", 1), ("potential", 2)),
        cuts=(n_messages,),
        runs=((True, False, 0, 1.0),),
        seed=1,
    )


@pytest.mark.parametrize(("put", "differs"), IN_LEAF)
@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_a_graph_of_a_user_finds_a_fault(put, differs, timing, monkeypatch):
    graph = a_graph(timing, 3 * steps_of_sample(NET.replace(timing=timing), NET.n_steps))
    play(graph)
    put(monkeypatch)
    with pytest.raises(AssertionError, match=differs):
        play(graph)


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_a_graph_of_a_user_finds_what_is_counted_too_early(timing, monkeypatch):
    # Weights have changed in the third sample when the run ends, three messages before its end.
    graph = a_graph(timing, 3 * steps_of_sample(NET.replace(timing=timing), NET.n_steps) - 3)
    play(graph)
    counting_what_is_half_shown(monkeypatch)
    with pytest.raises(AssertionError, match="Operations"):
        play(graph)


def test_a_record_of_another_step_is_found(monkeypatch):
    row = SharedNetwork.row

    def late(self, time_step):
        found = row(self, time_step)
        return found if not found else found - 1

    monkeypatch.setattr(SharedNetwork, "row", late)
    given = Samples()
    with Simulator(NET, "lava", given.weights) as sim:
        trace = sim.train(given.x, given.y, record=True)
    assert trace.diff(given.by_reference()[0]) is not None


class TestStandardParts:
    """Faults among synapses of Lava's own, which learn by themselves."""

    def difference(self, make_line, net, by_reference=True):
        line = make_line(net)
        if by_reference:
            return line.show().diff(line.by_reference()[0])
        return line.show().diff(EngineMLP(line.start).train(line.x, line.y))

    def test_a_gate_that_is_always_open_is_found(self, monkeypatch, make_line):
        def open_gate(net, arriving, psi, s, l):
            return step.backward(net, arriving, psi, np.zeros_like(s), l)

        monkeypatch.setattr(neurons, "backward", open_gate)
        difference = self.difference(make_line, PIPELINED)
        assert (difference.quantity, difference.layer in (1, 2)) == ("errors", True)

    def test_traces_that_are_not_emptied_are_found(self, monkeypatch, make_line):
        monkeypatch.setattr(WeightManagerModel, "_empty", lambda *_: None)
        # In the first sample nothing is left of another one.
        assert self.difference(make_line, PIPELINED).sample > 0

    def test_traces_that_decay_are_found(self, monkeypatch, make_line):
        """They leave weights off the grid, which nobody reads as what was learned."""
        monkeypatch.setattr(synapses, "NEVER", 2**16 - 1)
        with pytest.raises(
            ValueError, match=r"what was learned must be multiples of 2\*\*-15; got"
        ):
            self.difference(make_line, PIPELINED)

    def test_copies_that_are_made_too_late_are_found(self, monkeypatch, make_line):
        late = property(lambda self: self._copies and self._clock.learns and self._clock.closes)
        monkeypatch.setattr(WeightManagerModel, "_is_to_copy", late)
        difference = self.difference(make_line, CHIP, by_reference=False)
        assert difference.quantity == "errors"
        assert difference.layer in (1, 2)

    def test_numbers_that_are_not_the_engines_are_found(self, monkeypatch, make_line):
        monkeypatch.setattr(engine_mlp, "SEED", 3)
        assert self.difference(make_line, CHIP, by_reference=False) is not None
