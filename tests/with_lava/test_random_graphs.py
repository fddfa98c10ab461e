"""Random graphs of each form are equal to the reference."""

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikebp_plugins import SpikingMLP
from tests.profiles import examples
from tests.with_lava.graphs import Loihi2SimCfg
from tests.with_lava.random_graphs import (
    FORMS,
    Graph,
    ended_graphs,
    graphs,
    play,
    play_to_the_end,
)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_graph_is_equal_to_the_reference(form, data):
    play(data.draw(graphs(form)))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_checkpoint_of_a_graph_that_is_ended_goes_on_as_if_it_were_not(form, data):
    play_to_the_end(data.draw(ended_graphs(form)))


def test_backward_potentials_begin_when_the_output_first_compares():
    net = SpikingMLP.paper(
        (1, 1, 1, 1), n_steps=1, timing="pipelined", fraction_bits=12, backward_init="zero"
    )
    two_samples = Graph(
        net=net,
        form="standard",
        tag="floating_pt",
        base=Loihi2SimCfg,
        input="source",
        answer="source labels",
        has_resets=False,
        is_nested=False,
        monitors=(("backward_potential", 1), ("backward_potential", 2)),
        cuts=(12,),
        runs=((True, False, 0, 1.0),),
        seed=0,
    )
    play(two_samples)
