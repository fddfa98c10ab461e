"""Deliberate faults in Lava's processes are found by the suite, at their step and layer.

In the hierarchical model each layer is a process that calls kernels for the phases of a step, or
the rules of the reference where its connection is not dense; processes are forked, so what is
changed here before a graph starts is changed in them.
"""

import inspect
import textwrap
from functools import wraps
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_lava import EngineMLP, layer_by_rules, synapses
from spikebp_lava.layer_by_rules import LayerByRules
from spikebp_lava.processes import neurons
from spikebp_lava.processes.keeper import KeeperModel
from spikebp_lava.processes.layers import LayerModel
from spikebp_lava.schedule import PipelinedSchedule, Schedule
from spikebp_lava.standard import engine_mlp
from spikebp_plugins import compare
from spikebp_plugins.compiled.kernels import layers
from spikebp_plugins.conformance import CASES
from spikebp_plugins.conformance.suite import unsupported_reason
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.rules import sample, step
from tests.mutations import (
    IN_REFERENCE,
    PLACES,
    assert_found,
    expected_differences,
    mutated,
    spread,
)
from tests.with_lava.graphs import CHIP, NET, PIPELINED, Loihi2SimCfg
from tests.with_lava.random_graphs import Graph, play

pytestmark = pytest.mark.thorough

BACKEND = "lava:tag=fixed_pt,implementation=hierarchical"
SUPPORTED = [case for case in CASES if unsupported_reason(BACKEND, case.net) is None]


class LayerUnits:
    """What a kernel of `layers` was given, seen for the layer's own units."""

    def __init__(self, network, sample):
        n_below = network.sizes[0]
        self.one, self.half, self.limited = network.one, network.half, network.limited
        for name in ("potential", "spike", "error"):
            setattr(self, name, getattr(sample, name)[n_below:])
        self.count = sample.count[n_below:]
        self.summed_drive = self.potential + self.count * self.one


def after(kernel, fault):
    """Return a kernel that commits a fault once it has done its work."""
    names = list(inspect.signature(kernel.py_func).parameters)

    @wraps(kernel.py_func)
    def faulty(*arguments):
        certain = kernel(*arguments)
        given = dict(zip(names, arguments, strict=True))
        fault(LayerUnits(given["run"].net, given["run"].sample))
        return certain

    return faulty


def fire_at_the_threshold(units):
    reached = (units.potential == units.half) & ((units.spike == 0) | (not units.limited))
    units.spike += reached
    units.count += reached
    units.potential -= reached * units.one


def shut_at_zero(units):
    units.error[units.summed_drive == 0] = 0


def without_reset(kernel):
    """Return the kernel that begins a step as if potentials lasted longer than their sample."""

    def faulty(run, drawn, opens, restarts):
        if opens:
            run.sample.count[:] = 0
            run.sample.target_potential[:] = 0
            run.sample.error_sum[:] = 0
        return kernel(run, drawn, False, restarts)

    return faulty


KERNELS = {
    "a threshold that is only reached fires": (
        "fire_arrived",
        lambda kernel: after(kernel, fire_at_the_threshold),
    ),
    "the gate of hidden layers is shut at 0": (
        "hidden_layer_error",
        lambda kernel: after(kernel, shut_at_zero),
    ),
    "the gate of the output is shut at 0": (
        "output_layer_error",
        lambda kernel: after(kernel, shut_at_zero),
    ),
    "potentials and summed drives are not reset": ("begin_step", without_reset),
}


def with_faulty_rule(name):
    """Return a function that lets layers follow the rule as it is when a fault is in it."""

    def put(fault, monkeypatch):
        with pytest.MonkeyPatch.context() as patch:
            IN_REFERENCE[fault](patch)
            faulty = getattr(step, name)
        monkeypatch.setattr(layer_by_rules, name, faulty)

    return put


def rules_without_reset(_, monkeypatch):
    """Let layers begin a sample as if potentials lasted longer."""
    sound = LayerByRules._open

    def faulty(self):
        kept = {name: getattr(self, name, None) for name in ("_phi", "_s")}
        sound(self)
        vars(self).update({name: values for name, values in kept.items() if values is not None})

    monkeypatch.setattr(LayerByRules, "_open", faulty)


#: How the same faults are put into layers that follow the rules of the reference.
RULES = {
    "a threshold that is only reached fires": with_faulty_rule("forward"),
    "the gate of hidden layers is shut at 0": with_faulty_rule("backward"),
    "the gate of the output is shut at 0": with_faulty_rule("output_error"),
    "potentials and summed drives are not reset": rules_without_reset,
}


@pytest.mark.parametrize("fault", KERNELS)
def test_a_fault_is_found_where_it_is(fault, monkeypatch):
    expected = expected_differences(fault, SUPPORTED)
    name, changed = KERNELS[fault]
    monkeypatch.setattr(layers, name, changed(getattr(layers, name)))
    RULES[fault](fault, monkeypatch)
    for is_dense in (True, False):
        of_kind = [found for found in expected if found[0].net.is_dense == is_dense]
        assert_found(BACKEND, fault, spread(of_kind, 3))


#: Phases of a layer's step, and how the code of each begins.
PHASES = {
    "errors go down": "    if l > 1:\n",
    "spikes arrive": "    if self._pipelined:\n        self._receive",
    "weights learn": "    if learns or updates:\n",
}


def in_order(*order):
    """Return a layer's step with its phases in another order."""
    source = textwrap.dedent(inspect.getsource(LayerModel.run_spk))
    starts = [source.index(text) for text in (*PHASES.values(), "    shared.count(l,")]
    codes = [source[start:end] for start, end in pairwise(starts)]
    code_of = dict(zip(PHASES, codes, strict=True))
    edit = ("".join(codes), "".join(code_of[phase] for phase in order))
    return mutated(LayerModel.run_spk, edit)


def test_weights_that_change_before_errors_have_read_them_are_found(monkeypatch):
    fault = "weights change before errors have read them"
    faulty = in_order("spikes arrive", "weights learn", "errors go down")
    monkeypatch.setattr(LayerModel, "run_spk", faulty)
    assert_found(BACKEND, fault, spread(expected_differences(fault, SUPPORTED), 4))


def learning_before_spikes_arrive(monkeypatch):
    """Put into the reference: spikes of a step are counted, and go through weights, too late."""
    late = mutated(
        step.step,
        ("synaptic_weights(net, state) for", "synaptic_weights(net, learning) for"),
        ("    phi, s, c = list(", "    counted = sample.c\n    phi, s, c = list("),
        (
            "learning, sample = learn(net, learning, sample._replace(phi_y=phi_y, sent=sent), e)",
            "\n    ".join(
                [
                    "sample = sample._replace(phi_y=phi_y, sent=sent)",
                    "learning, taught = learn(net, learning, sample._replace(c=counted), e)",
                    "sample = sample._replace(E=taught.E)",
                ]
            ),
        ),
    )
    monkeypatch.setattr(sample, "step", late)


def test_a_layer_that_learns_before_spikes_arrive_is_found(monkeypatch):
    fault = "weights learn before they are given the spikes of their step"
    monkeypatch.setitem(IN_REFERENCE, fault, learning_before_spikes_arrive)
    monkeypatch.setitem(PLACES, fault, (("spikes", "errors", "step_scores"), "any", 0))
    pipelined = [case for case in SUPPORTED if case.net.timing == "pipelined"]
    expected = spread(expected_differences(fault, pipelined), 4)
    faulty = in_order("errors go down", "weights learn", "spikes arrive")
    monkeypatch.setattr(LayerModel, "run_spk", faulty)
    assert_found(BACKEND, fault, expected)


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
    ("put", "differs"),
    [
        (opening_no_sample_anew, "spike|output|drive"),
        (sending_no_errors_down, "error|weight|output"),
    ],
)
@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_a_graph_of_a_user_finds_a_fault(put, differs, timing, monkeypatch):
    put(monkeypatch)
    net = NET.replace(timing=timing)
    in_all = 3 * steps_of_sample(net, net.n_steps)
    graph = Graph(
        net=net,
        form="hierarchical",
        tag="fixed_pt",
        base=Loihi2SimCfg,
        input="changing",
        answer="labels",
        has_resets=False,
        is_nested=False,
        monitors=(("error", 1), ("weight", 1)),
        cuts=(in_all,),
        runs=((True, False, 0),),
        seed=1,
    )
    with pytest.raises(AssertionError, match=differs):
        play(graph)


class TestStandardParts:
    """Faults among synapses of Lava's own, which learn by themselves."""

    def difference(self, make_line, net, by_reference=True):
        line = make_line(net)
        if by_reference:
            return compare(line.show(), line.by_reference()[0])
        return compare(line.show(), EngineMLP(line.start).train(line.x, line.y))

    def test_a_gate_that_is_always_open(self, monkeypatch, make_line):
        def open_gate(net, arriving, psi, s, l):
            return step.backward(net, arriving, psi, np.zeros_like(s), l)

        monkeypatch.setattr(neurons, "backward", open_gate)
        difference = self.difference(make_line, PIPELINED)
        assert (difference.quantity, difference.layer in (1, 2)) == ("errors", True)

    def test_traces_that_outlive_their_sample(self, monkeypatch, make_line):
        monkeypatch.setattr(KeeperModel, "_empty", lambda *_: None)
        # In the first sample nothing is left of another one.
        assert self.difference(make_line, PIPELINED).sample > 0

    def test_traces_that_decay(self, monkeypatch, make_line):
        monkeypatch.setattr(synapses, "NEVER", 2**16 - 1)
        assert self.difference(make_line, PIPELINED) is not None

    def test_copies_that_are_made_too_late(self, monkeypatch, make_line):
        late = property(lambda self: self._copies and self._clock.learns and self._clock.closes)
        monkeypatch.setattr(KeeperModel, "_is_to_copy", late)
        difference = self.difference(make_line, CHIP, by_reference=False)
        assert difference.quantity == "errors"
        assert difference.layer in (1, 2)

    def test_numbers_that_are_not_the_engines(self, monkeypatch, make_line):
        monkeypatch.setattr(engine_mlp, "SEED", 3)
        assert self.difference(make_line, CHIP, by_reference=False) is not None
