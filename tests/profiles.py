"""How many random examples a test draws: all it needs, or few where another run draws them."""

from hypothesis import settings

# How long an example takes says more about what else runs on a machine than about the code.
settings.register_profile("default", max_examples=100, deadline=None)
#: What --hypothesis-profile takes where the same tests run at length elsewhere.
settings.register_profile("few", max_examples=25, deadline=None)


def examples(number):
    """Return a number of examples, or the share of it that the profile draws."""
    return max(2, number * settings.default.max_examples // 100)
