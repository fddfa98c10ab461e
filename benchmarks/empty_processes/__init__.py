"""Lava processes that compute nothing, in their own folder, since Lava executes whole folders."""
