"""The scaling of features, one reading after the other, in Python's integers.

What a program in C would do: only `Feature.units` sees a reading, and every other number is an
integer that `kept` asserts to fit 64 bits.
"""

from fractions import Fraction
from math import isqrt

ONE = 1024


def kept(number):
    assert -(2**63) <= number < 2**63
    return number


def divided(number, by):
    return number << -by if by < 0 else (number + ((1 << by) >> 1)) >> by


def n_bits(number):
    """Return p for a number of m 2^p, with m from 1/2 up to 1."""
    p = 0
    while number >= 1:
        number, p = number / 2, p + 1
    while number < Fraction(1, 2):
        number, p = number * 2, p - 1
    return p


class Feature:
    def __init__(self, first, limit, is_centred=True):
        self.limit, self.is_centred, self.last = limit * ONE, is_centred, first
        self.exponent = self.repeated = 0
        self.forget()

    def forget(self):
        self.centre = self.n = self.total = self.squares = 0
        self.n_changes = self.n_large = self.changes = self.far = self.small = self.exponent = 0
        self.met, self.far_squared, self.small_below = 0, 1, 0

    def units(self, x):
        y = round(Fraction(x) * Fraction(2) ** (10 - self.exponent)) - self.centre
        return max(-self.limit, min(self.limit, y))

    def read(self, x):
        if self.n == 0:
            self.meet(x)
        self.repeated = 0 if x != self.last else min(self.repeated + 1, 16)
        if self.n == 0:
            return
        y, before = self.units(x), self.units(self.last)
        if x != self.last:
            self.n_changes += 1
            self.changes += abs(y - before)
            is_small = abs(y - before) < self.small_below
            self.small += 1 if is_small else -16
            self.n_large += not is_small
        self.last = x
        if self.repeated < 16:
            self.n += 1
            self.total += y
            self.squares += y * y
            self.far += 3 if y * y >= self.far_squared else -1

    def meet(self, x):
        if not self.met or self.repeated >= 16:
            if x != self.last:
                self.met, self.second = {1}, x
            return
        if x in (self.last, self.second):
            self.met.add(2 if x == self.last else 4)
            if self.met == {1, 2, 4}:
                self.begin(
                    abs(Fraction(self.second) - Fraction(self.last)) / 2, Fraction(self.last)
                )
            return
        low, middle, high = sorted(map(Fraction, (self.last, self.second, x)))
        small, large = sorted([(middle - low) / 2, (high - middle) / 2])
        self.begin(small if 0 < small * 64 < large else large, middle)

    def begin(self, half, middle):
        if half > abs(middle) / 2**40:
            self.exponent = max(-1000, min(1000, n_bits(half)))
            self.centre, self.met, self.n, self.squares = 0, 0, 1, ONE**2
            if self.is_centred:
                self.centre = round(middle * Fraction(2) ** (10 - self.exponent))

    def end_block(self):
        self.far, self.small = max(self.far, 0) if self.n >= 64 else 0, max(self.small, 0)
        is_quiet = self.small and self.small * self.n_large >= 32 * self.n_changes
        if self.n and (self.far >= 96 or is_quiet):
            self.forget()
        if self.n >= 2**16:
            self.n, self.total, self.squares = self.n >> 1, self.total >> 1, self.squares >> 1
        if self.n_changes >= 2**16:
            self.n_changes, self.changes = self.n_changes >> 1, self.changes >> 1
            self.n_large >>= 1
        self.move_centre()
        self.move_exponent()
        usual = self.changes // max(self.n_changes, 1)
        self.small_below = 0 if self.n_changes < 32 else usual >> 4
        variance = self.variance() // max(self.n, 1) ** 2
        self.far_squared = max(1, min(49 * variance // 4, self.limit**2))

    def variance(self):
        return kept(self.n * self.squares) - (self.total**2 if self.is_centred else 0)

    def move_centre(self):
        if self.is_centred and abs(self.total) > ONE // 8 * max(self.n, 1):
            by = (2 * self.total + self.n) // (2 * self.n)
            self.centre += by
            self.squares = kept(self.squares - 2 * by * self.total + by * by * self.n)
            self.total -= by * self.n

    def move_exponent(self):
        variance = self.variance()
        of_one = self.n**2 * ONE**2
        if variance <= 0 or (of_one <= kept(3 * variance) and variance <= kept(3 * of_one)):
            return
        by = (variance // self.n**2).bit_length() // 2 - 10
        by = max(by, self.centre.bit_length() - 50, -1000 - self.exponent)
        by = min(by, 1000 - self.exponent)
        self.exponent += by
        self.centre, self.total = divided(self.centre, by), divided(self.total, by)
        self.squares, self.changes = kept(divided(self.squares, 2 * by)), divided(self.changes, by)
        self.move_centre()


class Features:
    """Dense and sparse features; `show` returns the input of the network for a sample."""

    def __init__(self, n, spread, grows):
        self.n, self.spread, self.grows, self.n_seen, self.block = n, spread, grows, 0, []
        self.nonzero, self.since, self.dense = [0] * n, [-1] * n, {}
        self.length = Feature(0, 4, is_centred=False)
        self.of_sparse = 0, 0, 0

    def show(self, row):
        self.n_seen += 1
        self.block.append(row)
        if self.n_seen <= 16 or self.n_seen % 16 == 0:
            self.end_block()
            self.block = []
        return [self.input(i, x) for i, x in enumerate(row)]

    def input(self, i, x):
        factor, centre, limit = self.of_sparse
        if i in self.dense:
            feature = self.dense[i]
            factor, centre = (
                Fraction(2) ** (10 - feature.exponent) * (feature.n > 0),
                feature.centre,
            )
            limit = feature.limit
        y = round(Fraction(x) * Fraction(factor)) - centre
        return self.spread * max(-limit, min(limit, y)) / ONE

    def read_length(self, row):
        entries = [abs(x) for i, x in enumerate(row) if i not in self.dense and x]
        if not entries:
            return
        if self.length.n == 0:
            self.length.begin(Fraction(max(entries)) / 2, Fraction(max(entries)))
        squared = sum(self.length.units(x) ** 2 for x in entries)
        unit = Fraction(2) ** (self.length.exponent - 10)
        self.length.read(float(isqrt(squared) * unit))

    def end_block(self):
        for row in self.block:
            for i, feature in self.dense.items():
                feature.read(row[i])
            self.read_length(row)
            for i, x in enumerate(row):
                self.nonzero[i] += x != 0
        for feature in self.dense.values():
            feature.end_block()
        if self.length.n:
            self.length.end_block()
        self.change_kinds()
        n_known = sum(since >= 0 for since in self.since)
        n_sparse = (n_known if self.grows else self.n) - len(self.dense)
        bits = min(max(5 * n_sparse.bit_length() // 6 - 5, 0), 3 if self.grows else 6) + 10
        if self.n_seen >= 16:
            self.of_sparse = 0, 0, 0
            if n_sparse and self.length.n:
                self.of_sparse = (
                    Fraction(2) ** (bits - self.length.exponent),
                    0,
                    min(2 << bits, 2**14),
                )

    def change_kinds(self):
        before = set(self.dense)
        n_known = sum(
            nonzero > 0 or since >= 0
            for nonzero, since in zip(self.nonzero, self.since, strict=True)
        )
        are_words = 2 * sum(x != 0 for row in self.block for x in row) < n_known * len(self.block)
        for i in range(self.n):
            if not (i in self.dense or any(row[i] for row in self.block)):
                continue  # a sparse feature that is zero stays sparse
            if self.since[i] < 0:
                self.since[i] = self.n_seen
            age = self.n_seen - self.since[i]
            while age >= 512:
                age, self.nonzero[i] = age >> 1, self.nonzero[i] >> 1
                self.since[i] = self.n_seen - age
            if i in self.dense:
                if 6 * self.nonzero[i] < age:
                    del self.dense[i]
            elif 4 * (self.nonzero[i] - 1) > age + (16 if are_words else 3):
                self.dense[i] = Feature(self.block[-1][i], 4)
        if set(self.dense) != before:
            self.length = Feature(0, 4, is_centred=False)
            for row in self.block:
                self.read_length(row)
            if self.length.n:
                self.length.end_block()
