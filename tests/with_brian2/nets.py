"""Random definitions that Brian2 runs."""

from hypothesis import strategies as st

from tests.core.strategies import definitions, networks


@st.composite
def nets(draw, kinds=(definitions, networks), **limits):
    """Definitions with dense layers, or with connections of all kinds."""
    backward_init = draw(st.sampled_from(["carry", "zero"]))
    kind = draw(st.sampled_from(kinds))
    return draw(kind(presynaptic="counts", backward_init=backward_init, **limits))
