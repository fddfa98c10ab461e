"""The kernels: functions that Numba compiles, and how it compiles them."""
