"""The warning that a conversion of a network is not exact."""


class ApproximationWarning(UserWarning):
    """A conversion is not exact: the network and the file or model compute different numbers."""
