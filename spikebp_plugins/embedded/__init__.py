"""A network as one file in C that goes on learning, with the same integers, on any processor."""

from spikebp_plugins.embedded.c_program import CFiles, CProgram, to_c
from spikebp_plugins.embedded.state_bytes import from_state_bytes, to_state_bytes
from spikebp_plugins.embedded.windows_in_c import windows_to_c

__all__ = ["CFiles", "CProgram", "from_state_bytes", "to_c", "to_state_bytes", "windows_to_c"]
