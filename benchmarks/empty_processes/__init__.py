"""Lava processes that compute nothing, alone in a folder because Lava executes its neighbours."""
