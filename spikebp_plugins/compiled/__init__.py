"""The back end `compiled`: the step rules compiled by Numba."""
