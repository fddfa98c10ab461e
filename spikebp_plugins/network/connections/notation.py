"""A notation of layers, one word each, for command lines and tables of parameters.

========================  ==========================================
``conv16k5``              ``Conv2D(16, 5)``
``conv16k5s2p1``          ``Conv2D(16, 5, stride=2, padding=1)``
``pool2``                 ``AveragePool2D(2)``
``dense100``              ``Dense(100)``
``sparse100d0.1``         ``Sparse(100, density=0.1)``
========================  ==========================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from spikebp_plugins.common.errors import ArgumentError, wrong_argument
from spikebp_plugins.network.connections.convolution import Conv2D
from spikebp_plugins.network.connections.dense import Dense
from spikebp_plugins.network.connections.layer import Layer
from spikebp_plugins.network.connections.pooling import AveragePool2D
from spikebp_plugins.network.connections.sparse import Sparse

#: What a word for a layer may be, for help and messages.
WORDS: Final = "conv16k5, conv16k5s2p1, pool2, dense100 or sparse100d0.1"

#: The form of a word, and what makes the layer of its numbers.
_FORMS: Final[tuple[tuple[str, Callable[..., Layer]], ...]] = (
    (
        r"conv(\d+)k(\d+)(?:s(\d+))?(?:p(\d+))?",
        lambda channels, kernel_size, stride, padding: Conv2D(
            int(channels), int(kernel_size), int(stride or 1), int(padding or 0)
        ),
    ),
    (r"pool(\d+)", lambda size: AveragePool2D(int(size))),
    (r"dense(\d+)", lambda n: Dense(int(n))),
    (r"sparse(\d+)d(\d+(?:\.\d+)?)", lambda n, density: Sparse(int(n), float(density))),
)


def layers_of(name: str, value: Any) -> tuple[Layer, ...]:
    """Return layers that are given as they are, or as words with commas between them.

    Parameters
    ----------
    name : str
        The argument.
    value : str or sequence of Layer
        The value to read. Text without words stands for no layers.

    Raises
    ------
    ValueError
        If a word is none of a layer, or a value is no layer.

    Examples
    --------
    >>> layers_of("connections", "conv16k5s2,pool2")
    (Conv2D(channels=16, kernel_size=5, stride=2, padding=0), AveragePool2D(size=2))
    """
    if isinstance(value, str):
        words = value.split(",") if value.strip() else []
        return tuple(_layer_of(name, word.strip()) for word in words)
    if not isinstance(value, Sequence) or not all(isinstance(layer, Layer) for layer in value):
        allowed = f"a sequence of layers such as Conv2D(16, 5), or words such as {WORDS}"
        raise wrong_argument(name, allowed, repr(value))
    return tuple(value)


def _layer_of(name: str, word: str) -> Layer:
    for form, layer in _FORMS:
        if found := re.fullmatch(form, word, re.ASCII):
            try:
                return layer(*found.groups())
            except ValueError as error:
                raise ArgumentError(f"{word!r} in {name}: {error}") from None
    raise wrong_argument(name, f"words such as {WORDS}, separated by commas", repr(word))
