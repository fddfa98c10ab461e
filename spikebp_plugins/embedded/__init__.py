"""A network as one file in C that goes on learning, with the same integers, on any processor."""

from spikebp_plugins.embedded.c_program import CProgram, to_c
from spikebp_plugins.embedded.state_bytes import from_state_bytes, to_state_bytes

__all__ = ["CProgram", "from_state_bytes", "to_c", "to_state_bytes"]
