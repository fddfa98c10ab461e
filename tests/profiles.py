"""How many random examples a test draws: all that it needs, or few if another run draws them.

Every run draws the same examples, so that a change fails in its own tests or passes in them, and
not by chance in those of another. The profile "new" draws others in each run.
"""

from hypothesis import settings

# No deadline: how long an example takes depends more on the load of the machine than on the code.
settings.register_profile("default", max_examples=100, deadline=None, derandomize=True)
#: For --hypothesis-profile, where another run draws all examples of the same tests.
settings.register_profile("few", settings.get_profile("default"), max_examples=25)
#: For a smoke test.
settings.register_profile("fewest", settings.get_profile("default"), max_examples=2)
#: To look for what no run has found yet.
settings.register_profile("new", settings.get_profile("default"), derandomize=False)


def examples(number):
    """Return a number of examples, or the share of it that the profile draws."""
    return max(2, number * settings.default.max_examples // 100)
