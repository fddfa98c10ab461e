"""Random graphs for Lava: each must equal the reference, or be refused with an error.

    python -m tests.with_lava.random_graphs --graphs 200 --seed 0

A `Graph` holds all that is drawn from a seed. `judge` plays it in Lava, follows it with the
reference, and says whether both are equal in every number, and where they differ first.
"""

from tests.with_lava.random_graphs.drawing import draw
from tests.with_lava.random_graphs.judging import judge, refusal

__all__ = ["draw", "judge", "refusal"]
