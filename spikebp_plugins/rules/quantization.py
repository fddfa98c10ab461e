"""The quantizers and the event-driven products of the network, usable by themselves.

They are the building blocks of "Deep Spiking Networks" (P. O'Connor and M. Welling, 2016,
arXiv:1602.08323): real vectors become spikes, and products of vectors become sums over spikes.

The limits that the functions state hold exactly as long as a float64 holds every sum exactly: for
numbers on a grid of 2^-f whose cumulative sums stay below 2^(53 - f). Elsewhere each addition to a
potential v is rounded, by at most 2^-53 |v|, and the limits hold up to the sum of these errors.
In float32, which holds whole numbers up to 2^24, the one spike that `binary` allows is no longer
subtracted exactly from potentials beyond that.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikebp_plugins.common.errors import INTEGERS, REALS, array_of, integer, wrong_argument

Real = TypeVar("Real", np.float32, np.float64)

#: Spikes, and the potential that is left.
Fired = tuple[NDArray[np.int64], NDArray[Real]]

_LIMIT = 2**53


def signed(potential: NDArray[Real], binary: bool = False) -> Fired[Real]:
    """Fire spikes of either sign until every potential is back within 1/2 of zero.

    ::

        while |v| > 1/2: fire one spike of v's sign, subtract it from v
        in closed form:  k = sgn(v) * ceil(|v| - 1/2),  v <- v - k

    The threshold is strict: a potential of exactly 1/2 or -1/2 waits. What is left obeys
    ``|v| <= 1/2``, and nothing is lost: potential before = spikes + potential after, exactly.

    The paper's section "Spiking Vector Quantization" has the rule.

    Parameters
    ----------
    potential : ndarray of float64 or float32, of any shape
        The potentials v. They are not changed.
    binary : bool, default=False
        Fire at most one spike per unit (k is -1, 0 or 1); the rest of the potential waits.

    Returns
    -------
    spikes : ndarray of int64, of the same shape
        The signed counts k.
    potential : ndarray of the same dtype and shape
        The potentials that are left.

    Raises
    ------
    ArgumentError
        If `potential` has another dtype, or is not finite.
    OverflowError
        If a potential reaches 2^53 in size.

    Examples
    --------
    >>> spikes, potential = signed(np.array([1.75, 0.5, -0.75]))
    >>> spikes
    array([ 2,  0, -1])
    >>> potential
    array([-0.25,  0.5 ,  0.25])
    """
    v = _potential(potential)
    return _fire(v, np.copysign(crossings(np.abs(v), binary), v))


def rectified(potential: NDArray[Real], binary: bool = False) -> Fired[Real]:
    """Fire positive spikes until every potential is at most 1/2; negative potential stays.

    ::

        while v > 1/2: fire one spike, subtract it from v
        in closed form:  k = max(0, ceil(v - 1/2)),  v <- v - k

    The threshold is strict: a potential of exactly 1/2 waits. What is left obeys ``v <= 1/2``,
    and nothing is lost: potential before = spikes + potential after, exactly.

    It is the rule of the paper's section "Spiking Stream Quantization" without negative spikes:
    the spiking form of a rectified linear unit.

    Parameters
    ----------
    potential : ndarray of float64 or float32, of any shape
        The potentials v. They are not changed.
    binary : bool, default=False
        Fire at most one spike per unit (k is 0 or 1); the rest of the potential waits.

    Returns
    -------
    spikes : ndarray of int64, of the same shape
        The counts k, none of them negative.
    potential : ndarray of the same dtype and shape
        The potentials that are left.

    Raises
    ------
    ArgumentError
        If `potential` has another dtype, or is not finite.
    OverflowError
        If a potential reaches 2^53 in size.

    Examples
    --------
    >>> spikes, potential = rectified(np.array([1.75, 0.5, -0.75]))
    >>> spikes
    array([2, 0, 0])
    >>> potential
    array([-0.25,  0.5 , -0.75])
    """
    v = _potential(potential)
    return _fire(v, crossings(np.maximum(v, 0), binary))


def spiking_vector_quantization(vector: ArrayLike, n_steps: int) -> NDArray[np.int64]:
    r"""Turn a constant vector into spikes whose running mean converges to it.

    ::

        phi <- phi + v,  k_t = signed(phi)        for t = 1..T, from phi = 0
        |(k_1 + ... + k_t) / t - v| <= 1 / (2 t)  for every t, in every unit

    This is the paper's section "Spiking Vector Quantization".

    Parameters
    ----------
    vector : array_like of real numbers, of any shape
        The vector v.
    n_steps : int
        The number of steps T.

    Returns
    -------
    spikes : ndarray of int64, of shape (n_steps, \*vector.shape)
        The signed counts k_t, one row per step.

    Raises
    ------
    ArgumentError
        If `vector` is not made of finite real numbers, or `n_steps` is not a positive integer.
    OverflowError
        If a number or a potential reaches 2^53 in size.

    Examples
    --------
    >>> spikes = spiking_vector_quantization([0.75, -0.25], n_steps=4)
    >>> spikes
    array([[ 1,  0],
           [ 0,  0],
           [ 1, -1],
           [ 1,  0]])
    >>> spikes.mean(axis=0)
    array([ 0.75, -0.25])
    """
    v = _real_numbers("vector", vector)
    T = integer("n_steps", n_steps, 1)
    return _quantize(np.broadcast_to(v, (T, *v.shape)), signed)


def spiking_stream_quantization(stream: ArrayLike) -> NDArray[np.int64]:
    """Turn a stream of vectors into spikes whose running sum follows that of the stream.

    ::

        phi <- phi + x_t,  k_t = signed(phi)                  for t = 1..T, from phi = 0
        |(k_1 + ... + k_t) - (x_1 + ... + x_t)| <= 1/2        for every t, in every unit

    This is the paper's section "Spiking Stream Quantization".

    Parameters
    ----------
    stream : array_like of real numbers, of shape (n_steps, n_units)
        The vectors x_t, one row per step.

    Returns
    -------
    spikes : ndarray of int64, of shape (n_steps, n_units)
        The signed counts k_t, one row per step.

    Raises
    ------
    ArgumentError
        If `stream` is not two-dimensional, or not made of finite real numbers.
    OverflowError
        If a number or a potential reaches 2^53 in size.

    Examples
    --------
    >>> stream = np.array([[0.25], [0.5], [1.5], [-2.0]])
    >>> spiking_stream_quantization(stream).ravel()
    array([ 0,  1,  1, -2])
    """
    return _quantize(_two_dimensional("stream", _real_numbers("stream", stream)), signed)


def rectified_spiking_quantization(stream: ArrayLike) -> NDArray[np.int64]:
    """Turn a stream of vectors into positive spikes: a spiking rectified linear unit.

    ::

        phi <- phi + x_t,  k_t = rectified(phi)               for t = 1..T, from phi = 0
        k_1 + ... + k_t = max(0, ceil(M_t - 1/2)),  M_t = max of x_1 + ... + x_s over s = 1..t

    The running sum of the spikes is thus the running maximum of the stream's cumulative sum,
    quantized: a spike, once fired, is never taken back. For a constant stream x_t = v the running
    mean converges to the rectified v,

    ::

        |(k_1 + ... + k_t) / t - max(0, v)| <= 1 / (2 t)      for every t, in every unit

    It is the method of the paper's section "Spiking Stream Quantization" without negative spikes.

    Parameters
    ----------
    stream : array_like of real numbers, of shape (n_steps, n_units)
        The vectors x_t, one row per step.

    Returns
    -------
    spikes : ndarray of int64, of shape (n_steps, n_units)
        The counts k_t, one row per step, none of them negative.

    Raises
    ------
    ArgumentError
        If `stream` is not two-dimensional, or not made of finite real numbers.
    OverflowError
        If a number or a potential reaches 2^53 in size.

    Examples
    --------
    >>> stream = np.array([[1.25], [-2.0], [1.5], [1.5]])
    >>> rectified_spiking_quantization(stream).ravel()
    array([1, 0, 0, 1])
    """
    return _quantize(_two_dimensional("stream", _real_numbers("stream", stream)), rectified)


def incremental_dot_product(spikes: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Multiply a stream of spikes by a matrix, by adding one row of the matrix per spike.

    ::

        u_t = u_{t-1} + sum over units i that fire of k_{t,i} W_i     from u_0 = 0
            = (k_1 + ... + k_t) W

    Where the spikes quantize a constant vector v, ``u_t / t`` estimates ``v W`` and converges to
    it as 1/t::

        |u_t / t - v W|_j <= (sum over i of |W_ij|) / (2 t)

    A count of k stands for k additions of the row, and a silent unit costs nothing.

    This is the paper's incremental dot product.

    Parameters
    ----------
    spikes : array_like of int, of shape (n_steps, n_units)
        The signed counts k_t, one row per step.
    weights : array_like of real numbers, of shape (n_units, n_outputs)
        The matrix W.

    Returns
    -------
    sums : ndarray of float64, of shape (n_steps, n_outputs)
        The sums u_t, one row per step. Row number t, counted from 0, divided by t + 1 is the
        estimate of the product.

    Raises
    ------
    ArgumentError
        If `spikes` is not a two-dimensional array of integers, or `weights` not one of finite
        real numbers with a row for every unit.
    OverflowError
        If a count or a weight reaches 2^53 in size.

    Examples
    --------
    >>> spikes = spiking_vector_quantization([0.75, -0.25], n_steps=4)
    >>> sums = incremental_dot_product(spikes, [[1.0, 2.0], [4.0, 0.0]])
    >>> sums
    array([[ 1.,  2.],
           [ 1.,  2.],
           [-2.,  4.],
           [-1.,  6.]])
    >>> sums[-1] / 4  # 0.75 * 1 - 0.25 * 4 and 0.75 * 2
    array([-0.25,  1.5 ])
    """
    k = _spikes("spikes", spikes)
    W = _two_dimensional("weights", _real_numbers("weights", weights))
    if len(W) != k.shape[1]:
        raise wrong_argument("weights", f"of shape ({k.shape[1]}, n_outputs)", f"shape {W.shape}")
    sums = np.empty((len(k), W.shape[1]))
    total = np.zeros(W.shape[1])
    for t, fired in enumerate(k):
        units = np.flatnonzero(fired)
        total += fired[units] @ W[units]
        sums[t] = total
    return sums


def incremental_outer_product(first: ArrayLike, second: ArrayLike) -> NDArray[np.int64]:
    """Multiply two streams of spikes into a matrix, whenever a spike of the second arrives.

    ::

        R = sum over t of outer(C_t, b_t),  C_t = a_1 + ... + a_t

    with the spikes a_t of the first stream, counted up to and including this step, and the
    spikes b_t of the second. This is what the fractional update adds up over a sample, with input
    spikes as the first stream and error spikes as the second.

    Each spike of the second stream meets only what has come of the first so far, which is half of
    it on average. So where the streams quantize constant vectors u and v by the signed rule, R
    approaches (T^2 / 2) outer(u, v)::

        |2 R_ij / T^2 - u_i v_j| <= (|u_i v_j| + 2 |u_i| + |v_j|) / T + 1 / (2 T^2)

    The update named ``"outer"`` takes the outer product of the total counts instead, whose limit
    is T^2 outer(u, v): ``outer(C_T, D_T)`` with D_t = b_1 + ... + b_t. That is exactly the product
    of both means, times T^2. Summation by parts relates the two forms. R and its counterpart with
    the streams exchanged both contain the pairs of spikes of the same step, so together they are
    the outer product plus these pairs::

        sum of outer(C_t, b_t) + sum of outer(a_t, D_t) = outer(C_T, D_T) + sum of outer(a_t, b_t)

    The work of a step is the number of units of the first stream with a count other than 0 times
    the number of units of the second that fire.

    The paper uses both forms for weight updates; it calls the one that is spread over the steps
    fractional stochastic gradient descent.

    Parameters
    ----------
    first : array_like of int, of shape (n_steps, n_first)
        The signed counts a_t, one row per step.
    second : array_like of int, of shape (n_steps, n_second)
        The signed counts b_t, one row per step.

    Returns
    -------
    product : ndarray of int64, of shape (n_first, n_second)
        The sum R. It is exact.

    Raises
    ------
    ArgumentError
        If `first` or `second` is not a two-dimensional array of integers, or they differ in the
        number of steps.
    OverflowError
        If a count reaches 2^53 in size, or a product of counts might.

    Examples
    --------
    >>> first = spiking_vector_quantization([0.5, -1.0], n_steps=100)
    >>> second = spiking_vector_quantization([0.25], n_steps=100)
    >>> incremental_outer_product(first, second) * 2 / 100**2  # near 0.125 and -0.25
    array([[ 0.125],
           [-0.255]])
    >>> np.outer(first.sum(axis=0), second.sum(axis=0)) / 100**2
    array([[ 0.125],
           [-0.25 ]])
    """
    a = _spikes("first", first)
    b = _spikes("second", second)
    if len(a) != len(b):
        raise wrong_argument("second", f"of shape ({len(a)}, n_second)", f"shape {b.shape}")
    _check_exact("the product of the counts of first and second", _most(a) * _most(b))
    product = np.zeros((a.shape[1], b.shape[1]), dtype=np.int64)
    counts = np.zeros(a.shape[1], dtype=np.int64)
    for arrived, fired in zip(a, b, strict=True):
        counts += arrived
        rows, columns = np.flatnonzero(counts), np.flatnonzero(fired)
        product[np.ix_(rows, columns)] += np.outer(counts[rows], fired[columns])
    return product


def crossings(size: NDArray[Real], binary: bool) -> NDArray[Real]:
    """Return the number of times that 1 is subtracted from `size` >= 0 until it is at most 1/2."""
    whole = np.floor(size)
    # Not ceil(size - 1/2): from 2^52 on (in float32 from 2^23) that difference is rounded, to
    # the even neighbour, and an odd count would come out too small. size - whole is exact.
    count: NDArray[Real] = whole + (size - whole > 0.5)
    return np.minimum(count, 1) if binary else count


def _fire(v: NDArray[Real], count: NDArray[Real]) -> Fired[Real]:
    # The count takes v's own type, because float32 - int64 would be float64. NumPy makes scalars of
    # zero-dimensional arrays, and NumPy 1 makes float32 ones float64; np.asarray undoes both.
    return np.asarray(count, dtype=np.int64), np.asarray(v - np.asarray(count, dtype=v.dtype))


def _quantize(
    stream: NDArray[np.float64], rule: Callable[[NDArray[np.float64]], Fired[np.float64]]
) -> NDArray[np.int64]:
    spikes = np.empty(stream.shape, dtype=np.int64)
    potential = np.zeros(stream.shape[1:])
    for t, x in enumerate(stream):
        spikes[t], potential = rule(potential + x)
    return spikes


def _potential(values: NDArray[Real]) -> NDArray[Real]:
    array = array_of("potential", values, "df", "an array of float64 or float32")
    _check_range("potential", array)
    return array


def _real_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = array_of(name, values, REALS, "an array of real numbers")
    _check_range(name, array)
    return array.astype(np.float64, copy=False)


def _spikes(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = _two_dimensional(name, array_of(name, values, INTEGERS, "an array of integers"))
    _check_range(name, array)
    return array.astype(np.int64, copy=False)


def _two_dimensional(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim != 2:
        raise wrong_argument(name, "two-dimensional", f"shape {array.shape}")
    return array


def _check_range(name: str, array: NDArray[Any]) -> None:
    # float() cannot hide a violation: whatever reaches 2^53 is still that large after rounding.
    largest = max(float(array.max(initial=0)), -float(array.min(initial=0)))
    if not math.isfinite(largest):
        raise wrong_argument(name, "finite", largest)
    _check_exact(name, largest)


def _check_exact(name: str, largest: float) -> None:
    if largest >= _LIMIT:
        limit = "below 2**53 in size, or sums and counts are not exact"
        raise OverflowError(f"{name} must stay {limit}; got {largest:g}")


def _most(spikes: NDArray[np.int64]) -> float:
    """Return a bound on the magnitude that the summed count of any unit reaches."""
    return float(np.abs(spikes).max(axis=1, initial=0).sum(dtype=np.float64))
