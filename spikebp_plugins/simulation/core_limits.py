"""The limits of a core of a chip, and the number of cores."""

from __future__ import annotations

from dataclasses import dataclass, fields

from spikebp_plugins.common.errors import integer


@dataclass(frozen=True)
class CoreLimits:
    """The limits of a core of a chip, and the number of cores.

    The defaults are those of Loihi 2: Intel's technology brief "Taking Neuromorphic Computing to
    the Next Level with Loihi 2" (2021) states 128 cores on a chip, 192 KB of memory in each, which
    can be divided as one likes, up to 1 million neurons on a chip, which is 8,192 on a core, and
    payloads of up to 32 bits. Axons are not limited unless a number is given.

    Parameters
    ----------
    neurons : int, default=8192
        Neurons of a core.
    memory : int, default=196608
        Bytes of a core for states, weights and learning.
    message_bits : int, default=32
        Bits of the payload of a message, which is a signed integer.
    axons : int or None, default=None
        Units from which a core can receive; None is any number.
    cores : int, default=128
        Cores of a chip.

    Raises
    ------
    ValueError
        If a limit is no positive integer.
    """

    neurons: int = 8_192
    memory: int = 192 * 1024
    message_bits: int = 32
    axons: int | None = None
    cores: int = 128

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                object.__setattr__(self, field.name, integer(field.name, value, 1))
