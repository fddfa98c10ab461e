"""The sizes of a program in C: those that are counted, and those that were measured."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from spikebp_plugins.embedded.network_in_c import NetworkInC

#: A declaration of a structure or an array: whether it is constant, its type, its name, and its
#: lengths.
DECLARED: Final = re.compile(
    r"^static (const )?(struct \w+|\w+(?= \w+\[)) (\w+)((?:\[[^]]+\])*)", re.MULTILINE
)
LENGTH: Final = re.compile(r"\[([^]]+)\]")

#: The arrays that serve a single use, by that use.
BY_USE: Final = {
    "weights": ("weights",),
    "what takes a sample back": (
        *("logged_counts", "logged_errors", "backward_potential_before"),
        *("features_before", "progress_before"),
    ),
    "what follows change": ("waiting", "changed"),
    "scaling and learning rate": ("features", "progress", "block", "scaled"),
}

#: The constant arrays that may be large.
TABLES: Final = ("WEIGHTS_BACK", "PIXEL_VALUES", "SPIKES_OF_PIXEL")

#: The most code of a network alone, with GCC and -O2 on a Cortex-M3, by whether it takes features
#: and follows changes, and by the bits of a weight. 64 bits follow no changes.
MEASURED_CODE: Final = {
    (False, False): {16: 8_000, 32: 9_400, 64: 10_400},
    (False, True): {16: 11_400, 32: 13_900},
    (True, False): {16: 13_000, 32: 14_400, 64: 15_400},
    (True, True): {16: 16_900, 32: 19_400},
}
#: The most stack of a call there.
STACK: Final = 660


class Sizes(NamedTuple):
    """The sizes of a program, in bytes.

    Attributes
    ----------
    memory : dict of int
        Those of each array that changes.
    tables : int
        Those of large arrays that do not change.
    state : int
        Those of what was learned, as `to_state_bytes` returns it.
    code, stack : int
        The most that were measured for programs of its kind on a Cortex-M3.
    """

    memory: dict[str, int]
    tables: int
    state: int
    code: int
    stack: int

    @classmethod
    def of(cls, network: NetworkInC, source: str) -> Sizes:
        """Return the sizes of a program."""
        bits = {
            "net_weight_t": network.types.weight_bits,
            "net_state_t": network.types.state_bits,
            "net_count_t": network.types.count_bits,
            "unit_t": network.unit_bits,
            "state_bits_t": network.types.state_bits,
            "int64_t": 64,
            "int32_t": 32,
            "uint8_t": 8,
        }
        if (features := network.features) is not None:
            bits["net_feature_t"] = features.bits
            bits["struct feature"] = 8 * features.features.itemsize
            bits["struct progress"] = 8 * features.progress.nbytes
        constants = network.constants() | network.public_constants()
        memory, tables = {}, 0
        for is_constant, kind, name, lengths in DECLARED.findall(source):
            if is_constant and name not in TABLES:
                continue
            n = bits[kind] // 8
            for length in LENGTH.findall(lengths):
                n *= sum(constants.get(part) or int(part) for part in length.split(" + "))
            if is_constant:
                tables += n
            else:
                memory[name] = n
        kinds = MEASURED_CODE[features is not None, network.keeps_drive]
        return cls(
            memory,
            tables,
            network.state_size,
            kinds[network.types.weight_bits],
            STACK,
        )

    def by_use(self) -> dict[str, int]:
        """Return the bytes of memory for each use that occurs, for the rest, and in all."""
        uses = {
            use: sum(self.memory.get(name, 0) for name in names) for use, names in BY_USE.items()
        }
        total = sum(self.memory.values())
        uses |= {"the rest": total - sum(uses.values()), "together": total}
        return {use: n for use, n in uses.items() if n > 0}

    def __str__(self) -> str:
        memory, weights = sum(self.memory.values()), self.memory["weights"]
        return (
            f"{memory:,} of memory, of which {weights:,} are weights, which lie in flash too; "
            f"{self.tables:,} of tables; {self.state:,} of a state. Programs of this kind were "
            f"measured, with GCC -O2 on a Cortex-M3, to have up to {self.code:,} of code, and to "
            f"use up to {self.stack:,} of stack."
        )
