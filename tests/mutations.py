"""Deliberate faults: the suite must find each in a faulty back end, and name its place.

The place is not written down by hand: the same fault is put into the reference. The first number in
which the faulty reference differs from the sound one is the number that the suite must name for the
faulty back end, with both values.
"""

import __future__

import inspect
import textwrap

import numpy as np
import pytest

from spikebp_plugins import Simulator
from spikebp_plugins.backends import reference as reference_backend
from spikebp_plugins.conformance import CASES, ConformanceTest, TracesDifferError
from spikebp_plugins.conformance.protocol import RECORDED, trained
from spikebp_plugins.rules import sample
from spikebp_plugins.rules import step as reference
from spikebp_plugins.rules.quantization import rectified


def mutated(function, *edits, **names):
    """Return a function with its source edited, and with further names in its namespace."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in edits:
        assert source.count(old) == 1, f"{old!r} does not stand once in {function.__name__}"
        source = source.replace(old, new)
    assert "super()" not in source, "which a function that stands alone cannot call"
    namespace = function.__globals__ | names
    flags = __future__.annotations.compiler_flag  # they name what only type checkers import
    exec(compile(source, f"<mutated {function.__name__}>", "exec", flags), namespace)
    return namespace[function.__name__]


def fires_at_the_threshold(potential, binary):
    """The rectified quantizer, except that a potential of exactly 1/2 fires."""
    k, left = rectified(potential, binary)
    reached = (left == 0.5) & ((k == 0) | (not binary))
    return k + reached, left - reached


def after_learning(net, learning, sample, e):
    """Return the weights that the errors e meet on their way down if learning comes first."""
    return reference.backward_weights(net, reference.learn(net, learning, sample, e)[0])


def keeping_potentials(*kept):
    """Return the reference's `run_sample` without the reset of the sums `kept` of layers 1 to L."""
    left = {}

    def opened(net):
        state = reference.open_sample(net)
        return state._replace(**{name: (getattr(state, name)[0], *left[name]) for name in left})

    def remember(state):
        left.update(dict.fromkeys(kept, state.phi[1:]))

    return mutated(
        sample.run_sample,
        ("open_sample(net)", "opened(net)"),
        (
            "    if training:\n        learning = close",
            "    remember(sample)\n    if training:\n        learning = close",
        ),
        opened=opened,
        remember=remember,
    )


def _rule(name, *edits, **names):
    def put(monkeypatch):
        owner = sample if name == "step" else reference  # of what `run_sample` calls
        monkeypatch.setattr(owner, name, mutated(getattr(reference, name), *edits, **names))

    return put


def _sample(*kept):
    def put(monkeypatch):
        monkeypatch.setattr(reference_backend, "run_sample", keeping_potentials(*kept))

    return put


#: How each fault is put into the reference.
IN_REFERENCE = {
    "a threshold that is only reached fires": _rule(
        "forward",
        ("fire(net, rectified, phi)", "fire(net, fires, phi)"),
        fires=fires_at_the_threshold,
    ),
    "weights change before errors have read them": _rule(
        "step",
        (
            "B[lag][l + 1]",
            # What was sent one step ago goes through what has been learned in that step.
            "(B[0] if lag else after_learning(net, learning, sample, e))[l + 1]",
        ),
        after_learning=after_learning,
    ),
    "the gate of hidden layers is shut at 0": _rule("backward", ("s < 0", "s <= 0")),
    "the gate of the output is shut at 0": _rule("output_error", ("s < 0", "s <= 0")),
    "potentials are not reset": _sample("phi"),
    "potentials and summed drives are not reset": _sample("phi", "s"),
}

#: For each fault, what must differ first, in which layers, and from which sample on.
PLACES = {
    "a threshold that is only reached fires": (("spikes",), "any", 0),
    "weights change before errors have read them": (("errors",), "hidden", 0),
    "the gate of hidden layers is shut at 0": (("errors",), "hidden", 0),
    "the gate of the output is shut at 0": (("errors",), "output", 0),
    "potentials are not reset": (("spikes",), "any", 1),
    "potentials and summed drives are not reset": (("spikes", "errors", "step_scores"), "any", 1),
}


def is_in_layers(layer, which, last):
    return {"any": layer >= 1, "hidden": 1 <= layer < last, "output": layer == last}[which]


def expected_differences(fault, cases=CASES):
    """Return the cases that show a fault, each with the first difference that it makes."""
    found = []
    for case in cases:
        data, sound = case.data(), trained(case, RECORDED).trace
        with pytest.MonkeyPatch.context() as patch:
            IN_REFERENCE[fault](patch)
            try:
                with Simulator(case.net, "reference", case.weights()) as sim:
                    faulty = sim.train(data.x[:RECORDED], data.y[:RECORDED], record=True)
            except OverflowError:
                continue  # found as well, but not by a comparison of traces
        difference = faulty.diff(sound)
        if difference is not None:
            found.append((case, difference))
    return found


def assert_found(backend, fault, expected):
    """Assert that the suite finds a fault in a back end, and names its place."""
    quantities, layers, first_sample = PLACES[fault]
    assert expected, f"no case of the suite shows it when {fault}"
    for case, difference in expected:
        assert difference.quantity in quantities
        assert is_in_layers(difference.layer, layers, case.net.n_layers)
        assert difference.sample >= first_sample
        with pytest.raises(TracesDifferError) as failure:
            ConformanceTest(backend, case).run()
        assert failure.value.difference == difference, case.feature


def spread(items, n):
    """Return at most n of some items, evenly spaced from the first to the last."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, n).astype(int))]
