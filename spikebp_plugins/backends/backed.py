"""A former place of what is in `compiled.fallback`; it goes with version 0.2."""

from spikebp_plugins.compiled.fallback import BackedByCore

__all__ = ["BackedByCore"]
