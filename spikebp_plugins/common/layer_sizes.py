"""What follows from the sizes of layers, for the definitions of all networks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING


class LayerSizes:
    """The base of definitions: the numbers of layers, inputs and outputs."""

    if TYPE_CHECKING:  # a property here would be the default of a field of this name

        @property
        def layer_sizes(self) -> tuple[int, ...]:
            """Units in layers 0 to L."""

    @property
    def n_layers(self) -> int:
        """L, the number of layers with weights."""
        return len(self.layer_sizes) - 1

    @cached_property
    def n_inputs(self) -> int:
        """Units of layer 0."""
        return self.layer_sizes[0]

    @cached_property
    def n_outputs(self) -> int:
        """Units of layer L."""
        return self.layer_sizes[-1]
