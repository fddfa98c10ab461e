"""The warning of what is lost where networks come and go."""


class ApproximationWarning(UserWarning):
    """A network and what it was written as, or read from, do not compute exactly the same."""
