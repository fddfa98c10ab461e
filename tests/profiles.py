"""How many random examples a test draws: all that it needs, or few if another run draws them."""

from hypothesis import settings

# No deadline: how long an example takes depends more on the load of the machine than on the code.
settings.register_profile("default", max_examples=100, deadline=None)
#: For --hypothesis-profile, where another run draws all examples of the same tests.
settings.register_profile("few", max_examples=25, deadline=None)
#: For a smoke test.
settings.register_profile("fewest", max_examples=2, deadline=None)


def examples(number):
    """Return a number of examples, or the share of it that the profile draws."""
    return max(2, number * settings.default.max_examples // 100)
