r"""The rate of the learning engine that Lava simulates under the tag fixed_pt.

The engine does not compute the network of the definition: random numbers, rate and range of
weights differ from those of ``arithmetic="loihi2"``. It is an engine in software and was not
compared with a chip. With W the integers that synapses hold, of shape (n_out, n_in):

- A message of payload p brings the drive :math:`W p`, and adds p/2 to the trace x of its synapses,
  which saturates at 127.
- In each step all weights of all matrices are rounded with *one* random number z:
  :math:`W \leftarrow \lfloor W - 2^s x y / 256 + z \rfloor`, with y the third factor, an
  even number from -126 to 126; W saturates at -256 and at 255.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]

#: The largest even third factor of 7 bits and a sign.
LARGEST_FACTOR: Final = 126

#: Learning adds so many bits behind the point of a weight.
BITS_BEHIND: Final = 7

#: The rule's constant factor: with it, an even third factor loses nothing in the engine's shift.
MANTISSA: Final = 4
#: Bits of the rate that are kept; more would leave no room for the error in the third factor.
RATE_BITS: Final = 4

#: The largest exponent of a rule, counted from the smallest.
LARGEST_EXPONENT: Final = 15


class EngineRate(NamedTuple):
    r"""A rate of :math:`m 2^s` in 128ths of the last bit of a weight, with m of at most 4 bits.

    Attributes
    ----------
    mantissa : int
        m, which the third factor carries.
    exponent : int
        s, which the rule carries.
    """

    mantissa: int
    exponent: int

    @classmethod
    def of(cls, net: Definition) -> EngineRate:
        """Return the engine's rate that is nearest to the rate of a definition.

        Raises
        ------
        ValueError
            If the rate is too small or too large for the engine.
        """
        assert net.weight_exponent is not None
        wanted = net.rate * 2.0 ** (BITS_BEHIND - net.weight_exponent)
        exponent = max(0, int(np.frexp(wanted)[1]) - RATE_BITS)
        mantissa = round(wanted / 2.0**exponent)
        while mantissa and mantissa % 2 == 0:
            mantissa, exponent = mantissa // 2, exponent + 1
        if not mantissa or exponent > LARGEST_EXPONENT:
            smallest = 2.0 ** (net.weight_exponent - BITS_BEHIND - 1) * net.n_steps**2
            largest = smallest * 2.0 ** (LARGEST_EXPONENT + RATE_BITS)
            allowed = f"from {smallest:.3g} to {largest:.3g} for Lava's engine in fixed_pt"
            raise wrong_argument("learning_rate", allowed, repr(net.learning_rate))
        return cls(mantissa, exponent)

    @property
    def factor(self) -> int:
        """The third factor of an error of one spike."""
        return 2 * self.mantissa

    @property
    def rule(self) -> str:
        """The learning rule, in Lava's notation."""
        return f"-{MANTISSA} * 2^{self.exponent - BITS_BEHIND} * u0 * x1 * y1"
