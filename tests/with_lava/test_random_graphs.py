"""Random graphs of each form are equal to the reference."""

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.profiles import examples
from tests.with_lava.random_graphs import FORMS, graphs, play


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=examples(16), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_graph_is_equal_to_the_reference(form, data):
    play(data.draw(graphs(form)))
