"""Fixed-point arithmetic against Python's integers, at the very limit of its range."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikebp_plugins import SpikingMLP
from spikebp_plugins.network.arithmetic import (
    LIMIT,
    Change,
    FixedPoint,
    Loihi2,
    arithmetic_of,
    check_counts,
)
from spikebp_plugins.network.connections import DenseConnection
from tests.profiles import examples

BITS = (1, 17, 40)
PROFILE = settings(max_examples=examples(200))

#: Integers in units of 2^-f: small ones, ones near the limit, and anything between.
UNITS = st.one_of(
    st.integers(-1000, 1000),
    st.integers(-LIMIT + 1, LIMIT - 1),
    st.integers(LIMIT - 1000, LIMIT - 1),
    st.integers(1 - LIMIT, 1000 - LIMIT),
)
COUNTS = st.one_of(
    st.integers(-3, 3), st.integers(-(2**30), 2**30), st.integers(1 - LIMIT, LIMIT - 1)
)


def on_grid(units, bits):
    """Return the doubles of integers in units of 2^-f, each of them exact."""
    return np.ldexp(np.array(units, np.float64), -bits)


def units_of(values, bits):
    """Return the exact integers in units of 2^-f."""
    fractions = [Fraction(float(value)) * 2**bits for value in np.ravel(values)]
    assert all(fraction.denominator == 1 for fraction in fractions)
    return [int(fraction) for fraction in fractions]


def assert_exact_or_out_of_range(compute, exact, bits, place):
    """Hold a result to be exact, or an OverflowError exactly where one is due."""
    if all(abs(value) < LIMIT for value in exact):
        assert units_of(compute(), bits) == exact
    else:
        with pytest.raises(OverflowError, match=f"^{place} must stay below"):
            compute()


def joined_by(weights):
    return DenseConnection(*np.shape(weights))


def added(number, values, spikes, weights, layer):
    """Return values + spikes @ weights."""
    arriving = joined_by(weights).forward(spikes, weights)
    return number.add_product(values, arriving, "potential", layer)


def assert_adds(bits, values, spikes, weights):
    columns = list(zip(*weights, strict=True))
    exact = [
        value + sum(k * w for k, w in zip(spikes, column, strict=True))
        for value, column in zip(values, columns, strict=True)
    ]
    number = FixedPoint(bits)
    arguments = (on_grid(values, bits), np.array(spikes, np.int64), on_grid(weights, bits))
    assert_exact_or_out_of_range(
        lambda: added(number, *arguments, 3), exact, bits, "potential of layer 3"
    )


@PROFILE
@given(st.data(), st.sampled_from(BITS), st.integers(1, 4), st.integers(1, 3))
def test_adding_spikes_is_exact(data, bits, n_in, n_out):
    row = st.lists(UNITS, min_size=n_out, max_size=n_out)
    spikes = data.draw(st.lists(COUNTS, min_size=n_in, max_size=n_in))
    weights = data.draw(st.lists(row, min_size=n_in, max_size=n_in))
    assert_adds(bits, data.draw(row), spikes, weights)


@PROFILE
@given(st.sampled_from(BITS), UNITS, COUNTS, UNITS, st.integers(-4, 4), st.booleans())
def test_huge_terms_that_cancel_leave_an_exact_sum(bits, value, count, weight, excess, swapped):
    assume(abs(weight + excess) < LIMIT)
    # value + count * (weight + excess) - count * weight = value + count * excess
    spikes, weights = [count, -count], [[weight + excess], [weight]]
    if swapped:
        spikes, weights = spikes[::-1], weights[::-1]
    assert_adds(bits, [value], spikes, weights)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("extra", [[], [LIMIT - 1, LIMIT - 1]], ids=["doubles", "integers"])
def test_a_sum_overflows_exactly_at_the_limit(bits, sign, extra):
    # The two huge terms of `extra` cancel; they are there so that bounds prove nothing.
    pair = [1, -1][: len(extra)]
    for total in (LIMIT - 2, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2):
        value = sign * (LIMIT - 3)
        spikes = [sign * (total - LIMIT + 3), *pair]
        assert_adds(bits, [value], spikes, [[1], *([w] for w in extra)])


def test_silence_changes_nothing():
    number = FixedPoint(17)
    values = on_grid([5, 1 - LIMIT], 17)
    weights = on_grid([[LIMIT - 1, 1 - LIMIT]] * 3, 17)
    total = added(number, values, np.zeros(3, np.int64), weights, 1)
    np.testing.assert_array_equal(total, values, strict=True)


def test_a_sum_is_exact_through_a_transposed_matrix():
    weights = np.random.RandomState(0).randint(-1000, 1000, (4, 3))
    spikes = np.array([5, -7, 0])
    number = FixedPoint(8)
    total = added(number, np.zeros(4), spikes, on_grid(weights, 8).T, 1)
    assert units_of(total, 8) == (weights @ spikes).tolist()


def assert_descends(bits, rate, weights, counts, errors):
    exact = [
        weight - rate * c * e
        for c, row in zip(counts, weights, strict=True)
        for e, weight in zip(errors, row, strict=True)
    ]
    change = Change(rate, np.array(counts, np.int64), np.array(errors, np.int64))
    assert_exact_or_out_of_range(
        lambda: FixedPoint(bits).descend(on_grid(weights, bits), joined_by(weights), change, 2),
        exact,
        bits,
        "weight of layer 2",
    )


RATES = st.one_of(st.integers(1, 100), st.integers(1, 2**40))


@PROFILE
@given(st.data(), st.sampled_from(BITS), RATES, st.integers(1, 3), st.integers(1, 3))
def test_descending_is_exact(data, bits, rate, n_in, n_out):
    row = st.lists(UNITS, min_size=n_out, max_size=n_out)
    weights = data.draw(st.lists(row, min_size=n_in, max_size=n_in))
    counts = data.draw(st.lists(COUNTS, min_size=n_in, max_size=n_in))
    errors = data.draw(st.lists(COUNTS, min_size=n_out, max_size=n_out))
    assert_descends(bits, rate, weights, counts, errors)


@PROFILE
@given(st.sampled_from(BITS), RATES, st.lists(UNITS, min_size=1, max_size=3), UNITS)
def test_smoothing_rounds_the_exact_product(bits, rate, drives, other):
    # Halves of a unit are the hard case: a drive that is odd, times a rate of half a spike.
    cases = (rate, [*drives, other]), (2 ** (bits - 1), [*drives, 1, 3, -1, -3])
    for factor, shown in cases:
        smoothed = FixedPoint(bits).smoothed(factor, on_grid(shown, bits))
        exact = [round(Fraction(factor * units, 2**bits)) for units in shown]  # ties to even
        assert smoothed.tolist() == exact


@PROFILE
@given(st.sampled_from(BITS), UNITS, UNITS, st.integers(-3, 3))
def test_descending_by_smoothed_counts_is_exact(bits, weight, smoothed, error):
    change = Change(1, np.array([smoothed], object), np.array([error], np.int64))
    before = on_grid([[weight]], bits)
    assert_exact_or_out_of_range(
        lambda: FixedPoint(bits).descend(before, DenseConnection(1, 1), change, 2),
        [weight - smoothed * error],
        bits,
        "weight of layer 2",
    )


@PROFILE
@given(st.sampled_from(BITS), RATES, st.integers(-(2**27), 2**27), UNITS, UNITS)
def test_a_change_beyond_the_range_may_end_within_it(bits, rate, count, before, after):
    # The error that takes the weight from `before` to about `after`, the two far apart.
    assume(count)
    error = (before - after) // (rate * count)
    assume(abs(error) < LIMIT)
    assert_descends(bits, rate, [[before]], [count], [error])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("start", [LIMIT - 3, 3 - LIMIT], ids=["near", "from the other end"])
def test_a_weight_overflows_exactly_at_the_limit(bits, sign, start):
    for total in (LIMIT - 2, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2):
        change = sign * (start - total)
        if abs(change) < LIMIT:
            assert_descends(bits, 1, [[sign * start]], [1], [change])
            assert_descends(bits, 1, [[sign * start]], [change], [1])
        elif change % 2 == 0:
            # No count is as large as the way from one end of the range to the other.
            assert_descends(bits, 2, [[sign * start]], [-1], [-change // 2])


@pytest.mark.parametrize("bits", BITS)
@given(value=st.floats(-1e30, 1e30) | st.integers(-200, 200).map(lambda n: n / 64))
@PROFILE
def test_rounding_goes_to_the_nearest_multiple_and_ties_to_even(bits, value):
    number = FixedPoint(bits)
    expected = round(Fraction(value) * 2**bits)
    assert units_of(number.round(value), bits) == [expected]
    assert units_of(number.round([[value]]), bits) == [expected]


def test_rounding_takes_any_real_array():
    number = FixedPoint(2)
    for given_array in ([0, 1, 2], np.array([0, 1, 2], np.uint8), np.array([0, 1, 2], np.float16)):
        rounded = number.round(given_array)
        np.testing.assert_array_equal(rounded, [0.0, 1.0, 2.0], strict=True)


@pytest.mark.parametrize("bits", BITS)
def test_a_value_too_large_for_the_grid_rounds_to_one_out_of_range(bits):
    number = FixedPoint(bits)
    rounded = number.round([1.7e308, -1.7e308])
    with pytest.raises(OverflowError, match="target potential of layer 4 must stay below"):
        number.check(rounded, "target potential", 4)


@pytest.mark.parametrize("bits", BITS)
@given(units=UNITS)
@PROFILE
def test_encoding_is_exact_and_decoding_undoes_it(bits, units):
    number = FixedPoint(bits)
    values = on_grid([[units]], bits)
    encoded = number.encode(values)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [[units]]
    np.testing.assert_array_equal(number.decode(encoded), values, strict=True)


@pytest.mark.parametrize("bits", BITS)
def test_the_range_ends_below_the_limit(bits):
    number = FixedPoint(bits)
    assert Fraction(number.limit) == Fraction(LIMIT, 2**bits)
    inside = on_grid([LIMIT - 1, 1 - LIMIT, 0], bits)
    assert number.check(inside, "potential", 1) is inside
    for units in (LIMIT, -LIMIT, 2 * LIMIT):
        with pytest.raises(OverflowError, match=r"^potential of layer 1 must stay below"):
            number.check(on_grid([0, units], bits), "potential", 1)


def test_an_empty_array_is_within_the_range():
    FixedPoint(17).check(np.empty(0), "potential", 1)


def test_the_message_says_how_far_a_value_went():
    message = r"^weight of layer 2 must stay below 32 in magnitude; it reached 33\.5$"
    with pytest.raises(OverflowError, match=message):
        FixedPoint(48).check(np.array([1.0, -33.5]), "weight", 2)


@pytest.mark.parametrize(
    ("reached", "message"),
    [
        (2.0**36, "below 68719476736 in magnitude; it reached 68719476736"),
        (2.0**36 + 2**-16, "below 68719476736 in magnitude; it reached 68719476736.000015"),
        (2.0**36 * 1.001, "below 6.87195e+10 in magnitude; it reached 6.87882e+10"),
        (-np.inf, "below 6.87195e+10 in magnitude; it reached inf"),
    ],
)
def test_the_message_tells_the_value_from_the_limit(reached, message):
    with pytest.raises(OverflowError, match="weight") as caught:
        FixedPoint(17).check(np.array([1.0, reached]), "weight", 2)
    assert str(caught.value) == f"weight of layer 2 must stay {message}"


@pytest.mark.parametrize(
    ("count", "reached"),
    [
        (LIMIT + 1, "9007199254740993"),
        (-LIMIT, "9007199254740992"),
        (2**62, "4.61169e+18 or more"),
        (2**61, "2.30584e+18"),
    ],
)
def test_the_message_shows_counts_in_every_digit(count, reached):
    with pytest.raises(OverflowError, match="spike count") as caught:
        check_counts(np.array([3, count]), 1)
    assert str(caught.value).endswith(f" in magnitude; it reached {reached}")


@pytest.mark.parametrize("count", [LIMIT - 1, 1 - LIMIT, 0])
def test_counts_below_the_limit_pass(count):
    counts = np.array([0, count])
    assert check_counts(counts, 1) is counts


@pytest.mark.parametrize("count", [LIMIT, -LIMIT, 2**62, -(2**63)])
def test_counts_at_the_limit_do_not_pass(count):
    with pytest.raises(OverflowError, match=r"^spike count of layer 1 must stay below"):
        check_counts(np.array([0, count]), 1)


def test_a_definition_says_which_arithmetic_it_takes():
    assert arithmetic_of(SpikingMLP.paper((3, 2))) == FixedPoint(17)
    chip = SpikingMLP.paper((3, 2), arithmetic="loihi2", seed=4)
    assert arithmetic_of(chip) == Loihi2(12, -9, 4)
