"""What would be silently wrong in a graph is refused before it starts: other forms, other names."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Receiver
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from tests.with_lava.around import EnclosingProcess
from tests.with_lava.conftest import children
from tests.with_lava.graphs import NET, PIPELINED, configuration

#: The forms of the network, with their definitions and granularities.
FORMS = {
    "leaf": (SpikingMLPProcess, NET, "step"),
    "sample": (SpikingMLPProcess, NET, "sample"),
    "standard": (StandardMLP, PIPELINED, "step"),
}

#: What source or sink may have been made with instead.
OTHERS = {
    "n_steps": {"n_steps": 8},
    "timing": {},
    "n_layers": {"layer_sizes": (9, 8, 3)},
    "fraction_bits": {"fraction_bits": 20},
    "granularity": {},
}


def other(field, net, granularity):
    if field == "timing":
        timing = "pipelined" if net.timing == "immediate" else "immediate"
        return net.replace(timing=timing), granularity
    if field == "granularity":
        return net, "sample" if granularity == "step" else "step"
    return net.replace(**OTHERS[field]), granularity


@pytest.mark.parametrize(
    ("form", "field", "is_within"),
    [
        pytest.param(*case, marks=() if turn % 5 == 0 else pytest.mark.thorough)
        for turn, case in enumerate(product(FORMS, OTHERS, (False, True)))
    ],
)
def test_source_and_sink_agree_with_the_network(form, field, is_within):
    make, net, granularity = FORMS[form]
    options = {"granularity": granularity} if granularity == "sample" else {}
    for disagrees in ("source", "sink"):
        mlp = make(net, **options)
        ports = EnclosingProcess(mlp) if is_within else mlp
        given = {"source": (net, granularity), "sink": (net, granularity)}
        given[disagrees] = other(field, net, granularity)
        (net_of_source, of_source), (net_of_sink, of_sink) = given.values()
        x = np.ones((1, 9), int)
        source = SampleSource(net_of_source, x, [0], granularity=of_source)
        sink = ScoreSink(net_of_sink, 1, granularity=of_sink)
        source.spikes_out.connect(ports.spikes_in)
        source.label_out.connect(ports.label_in)
        ports.summed_drive_out.connect(sink.summed_drive_in)
        name = {"source": "SampleSource", "sink": "ScoreSink"}[disagrees]
        with pytest.raises(ValueError, match=f"{field} of {name} .* must be that of the network, "):
            sink.run(RunSteps(1), configuration("floating_pt"))
        assert not children()


@pytest.mark.parametrize("form", FORMS)
def test_what_a_definition_owns_is_no_argument(form):
    make, net, *_ = FORMS[form]
    for name in ("input_scale", "n_steps", "learning_rate", "n_rows"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            make(net, **{name: 1})


@pytest.mark.parametrize("form", FORMS)
def test_an_attribute_that_would_be_ignored_cannot_be_set(form):
    make, net, _ = FORMS[form]
    mlp = make(net)
    mlp.name = "other"
    for _ in range(2):
        for name in ("lerning", "net", "shared", "spikes_in"):
            with pytest.raises(AttributeError, match=f"'{name}' of .* only learning can be"):
                setattr(mlp, name, False)
        for name in ("weight_1", "spike_count_0", "error_2"):
            with pytest.raises(AttributeError, match=rf"a variable, whose values {name}.set"):
                setattr(mlp, name, 0)
        mlp.learning = False
        mlp.run(RunSteps(0), configuration("floating_pt"))
    mlp.stop()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_connected_too_late_is_refused(form):
    make, net, _ = FORMS[form]
    for connect in (
        lambda mlp: mlp.spikes_out.connect(Receiver(shape=(3,), buffer=1).a_in),
        lambda mlp: Monitor().probe(mlp.spike_count_1, 1),
    ):
        mlp = make(net)
        mlp.run(RunSteps(1), configuration("floating_pt"))
        connect(mlp)
        with pytest.raises(RuntimeError, match=r"connected or probed after its graph was made"):
            mlp.run(RunSteps(1))
        mlp.stop()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("make", [SpikingMLPProcess, StandardMLP])
def test_a_process_is_not_copied(make, copied):
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copied(make(PIPELINED))
