"""The step rules of docs/semantics.md transcribed as literally as possible.

Python integers count units of 2^-f, loops run over single units and synapses, and a quantizer fires
one spike at a time: nothing here is shared with the package, and nothing is vectorised. It is the
oracle of the reference engine.
"""

import math
from fractions import Fraction

import numpy as np

from tests.core.literal_synapses import synapses_of


def to_units(value, bits):
    """rint(v * 2^f), ties to even."""
    return round(Fraction(float(value)) * 2**bits)


def scaled_units(value, scale, bits):
    # The product of value and scale is a float64 by definition.
    return to_units(float(value) * float(scale), bits)


def asked_by(net, labels):
    """What each label asks of each output: the second of `label_targets` is for the right one."""
    wrong, right = net.label_targets
    return [[right if j == y else wrong for j in range(net.layer_sizes[-1])] for y in labels]


class LiteralNetwork:
    def __init__(self, net, weights, feedback=None):
        self.net = net
        self.bits = net.fraction_bits
        self.one = 2**self.bits
        self.is_chip = net.arithmetic == "loihi2"
        self.samples_seen = 0
        self.known = range(net.layer_sizes[-1])  # outputs whose label has come
        rate_bits = 16 - net.weight_exponent if self.is_chip else self.bits
        self.is_normalized = net.update == "normalized"
        rate = net.learning_rate if self.is_normalized else net.learning_rate / net.n_steps**2
        self.rate = round(Fraction(rate) * 2**rate_bits)
        self.sizes = net.layer_sizes
        self.L = len(self.sizes) - 1
        self.synapses = [None, *synapses_of(net)]
        # Flat lists, in the order of rows.
        self.W = [None, *map(self.flat, weights)]
        self.B = None
        if net.feedback == "random":
            self.B = [None, None, *map(self.flat, feedback)]
        for l, layer in enumerate(getattr(net, "layers", ()), 1):
            if type(layer).__name__ == "AveragePool2D":
                self.W[l] = [self.weight(1 / layer.size**2)]
                if self.B is not None and l > 1:
                    self.B[l] = self.W[l]
        self.psi = [[0] * size for size in self.sizes]

    def flat(self, weights):
        return [self.weight(v) for v in np.ravel(weights)]

    def weight(self, value):
        if not self.is_chip:
            return to_units(value, self.bits)
        m = to_units(value, -self.net.weight_exponent)
        return self.shifted(max(-128, min(127, m)))

    def shifted(self, m):
        return m * 2 ** (self.bits + self.net.weight_exponent)

    def state(self, units):
        """A chip holds 24 bits."""
        return max(1 - 2**23, min(2**23 - 1, units)) if self.is_chip else units

    def message(self, k):
        return max(-127, min(127, k)) if self.is_chip else k

    def fire(self, v, *, rectify):
        """While |v| > 1/2 fire one spike of v's sign and subtract it."""
        k = 0
        most = 1 if self.net.spikes == "binary" else 127 if self.is_chip else None
        while 2 * v > self.one or (not rectify and 2 * v < -self.one):
            if most is not None and abs(k) == most:
                break
            sign = 1 if v > 0 else -1
            k += sign
            v -= sign * self.one
        return k, v

    def show(self, xs, ys, until=None):
        """Show one sample; ys None predicts. Return spikes, errors and drives of all steps.

        With `until`, a label and a margin, it may end early.
        """
        self.open(ys)
        self.until, self.n_inputs = until, len(xs)
        show = self.show_pipelined if self.net.timing == "pipelined" else self.show_immediate
        self.t = 0
        shown = show(xs, ys)
        self.samples_seen += ys is not None
        if ys is not None and self.net.update in ("outer", "normalized"):
            for l in range(1, self.L + 1):
                self.descend(l, self.E[l])
        return shown

    def open(self, ys):
        self.phi = self.zeros()
        self.phi_y = [0] * self.sizes[self.L]
        self.s = self.zeros()
        self.c = self.zeros()
        self.E = self.zeros()
        if ys is not None and self.net.backward_init == "zero":
            self.psi = self.zeros()

    def zeros(self):
        return [[0] * n for n in self.sizes]

    def show_immediate(self, xs, ys):
        L = self.L
        all_k, all_e, all_s = [], [], []
        for t in range(len(xs)):
            self.t += 1
            k = self.zeros()
            k[0] = self.fire_input(xs[t])
            for l in range(1, L + 1):
                k[l] = self.fire_layer(l, self.forward(l, k[l - 1]))
            all_k.append(k)
            all_s.append(list(self.s[L]))
            if ys is None:
                continue
            e = self.zeros()
            e[L] = self.output_error(k[L], ys[t])
            for l in range(L - 1, 0, -1):
                e[l] = self.fire_errors(l, self.backward(l + 1, e[l + 1]))
            for l in range(1, L + 1):
                self.learn(l, e[l])
            all_e.append(e)
            if self.until is not None and self.leads(*self.until):
                break
        return all_k, all_e, all_s

    def leads(self, label, margin):
        """Whether the drive of a label is above each other by a margin in spikes."""
        others = [s for j, s in enumerate(self.s[self.L]) if j != label]
        return all(self.s[self.L][label] - s >= Fraction(margin) * self.one for s in others)

    def show_pipelined(self, xs, ys):
        # Every connection hands on, in the next step, what it was given in this one, together
        # with the step of input that it belongs to.
        L = self.L
        all_k = [self.zeros() for _ in xs]
        all_e = [self.zeros() for _ in xs]
        all_s = [None for _ in xs]
        up, down = [None] * (L + 1), [None] * (L + 1)
        waiting = list(range(len(xs)))
        while waiting or any(up) or any(down):
            self.t += 1
            sent, errors = {}, {}
            if waiting:
                tau = waiting.pop(0)
                sent[0] = (tau, self.fire_input(xs[tau]))
            for l in range(1, L + 1):
                if up[l]:
                    tau, drive = up[l]
                    sent[l] = (tau, self.fire_layer(l, drive))
            if L in sent:
                tau, k = sent[L]
                all_s[tau] = list(self.s[L])
                if ys is not None:
                    errors[L] = (tau, self.output_error(k, ys[tau]))
            for l in range(1, L):
                if down[l]:
                    tau, drive = down[l]
                    errors[l] = (tau, self.fire_errors(l, drive))
            up, down = [None] * (L + 1), [None] * (L + 1)
            for l, (tau, k) in sent.items():
                all_k[tau][l] = k
                if l < L:
                    up[l + 1] = (tau, self.forward(l + 1, k))
            for l, (tau, e) in errors.items():
                all_e[tau][l] = e
                if l > 1:
                    down[l - 1] = (tau, self.backward(l, e))
            for l, (_, e) in errors.items():
                self.learn(l, e)
        return all_k, all_e, all_s

    def fire_input(self, x):
        k = [0] * self.sizes[0]
        for i in range(self.sizes[0]):
            if self.net.input_coding == "spikes":
                k[i] = int(x[i])
                self.s[0][i] += k[i] * self.one
            else:
                value = self.state(
                    scaled_units(x[i], self.net.input_scale * self.net.spikes_per_unit, self.bits)
                )
                v = self.state(self.phi[0][i] + value)
                k[i], self.phi[0][i] = self.fire(v, rectify=False)
                self.s[0][i] += value
            self.c[0][i] += k[i]
        return k

    def forward(self, l, k):
        drive = [0] * self.sizes[l]
        for i, j, w, _ in self.synapses[l]:
            drive[j] += k[i] * self.W[l][w]
        return drive

    def fire_layer(self, l, drive):
        k = [0] * self.sizes[l]
        for j, d in enumerate(drive):
            self.s[l][j] = self.state(self.s[l][j] + d)
            k[j], self.phi[l][j] = self.fire(self.state(self.phi[l][j] + d), rectify=True)
            if l < self.L:
                self.c[l][j] += k[j]
        return k

    def output_error(self, k, y):
        e = [0] * self.sizes[self.L]
        for j in self.known:
            target = self.state(to_units(y[j], self.bits))
            m, self.phi_y[j] = self.fire(self.state(self.phi_y[j] + target), rectify=False)
            e[j] = 0 if self.s[self.L][j] < 0 else self.message(k[j] - m)
        return e

    def backward(self, l, e):
        drive = [0] * self.sizes[l - 1]
        for i, j, w, b in self.synapses[l]:
            drive[i] += e[j] * (self.W[l][w] if self.B is None else self.B[l][b])
        return drive

    def fire_errors(self, l, drive):
        e = [0] * self.sizes[l]
        for i, d in enumerate(drive):
            fired, self.psi[l][i] = self.fire(self.state(self.psi[l][i] + d), rectify=False)
            e[i] = 0 if self.s[l][i] < 0 else fired
        return e

    def learn(self, l, e):
        if self.net.update == "fractional":
            self.descend(l, e)
        for j in range(self.sizes[l]):
            self.E[l][j] += e[j]

    def limits(self, l):
        """Where counts below W_l and errors above it are cut off, for the steps shown so far."""
        T, g = self.net.n_steps, self.net.spikes_per_unit
        if self.is_chip:
            return 127, None
        if not self.is_normalized:
            return None, None
        duration = max(T, min(self.t, self.n_inputs))
        if l < self.L:
            return 16 * g * duration, 8 * g * T
        asked = math.ceil(2 * max(abs(target) for target in self.net.label_targets))
        return 16 * g * duration, max(16 * g, asked) * duration

    def descend(self, l, e):
        if not self.learns(l):
            return
        if self.teaches_too_much(l):
            return
        most_c, most_e = self.limits(l)
        c, s, e = cut_off(self.c[l - 1], most_c), self.s[l - 1], cut_off(e, most_e)
        rate = self.divided_rate(l, c) if self.is_normalized else self.rate
        sums = [0] * len(self.W[l])
        for i, j, w, _ in self.synapses[l]:
            if self.is_chip:
                factor = c[i]
            elif self.net.presynaptic == "drive":
                drive = s[i] if l == 1 else max(s[i], 0)
                factor = round(Fraction(self.rate * drive, self.one))  # ties to even
            else:
                factor = rate * c[i]
            sums[w] += factor * e[j]
        for w, change in enumerate(sums):
            if self.is_chip:
                m = self.W[l][w] // self.shifted(1)
                m -= (self.rate * change + self.random_number(l, w)) // 2**16
                self.W[l][w] = self.shifted(max(-128, min(127, m)))
            else:
                self.W[l][w] -= change

    def squares(self, l, c):
        return sum(count * count * times for count, times in zip(c, self.meetings(l), strict=True))

    def teaches_too_much(self, l):
        """Whether the gain, how much an error of 1 moves the drive, is above its limit."""
        if self.is_normalized or not self.net.bounded:
            return False
        most = 5 * self.one // 4
        if self.net.update == "fractional":
            most = max(most, most // self.net.n_steps * min(self.t, self.n_inputs))
        return self.rate * self.squares(l, self.c[l - 1]) > min(most, 2**53 - 1)

    def weights(self, l):
        """Return what W_l has learned: nothing in a layer that pools."""
        return self.W[l] if self.learns(l) else []

    def learns(self, l):
        layers = getattr(self.net, "layers", None)
        return layers is None or type(layers[l - 1]).__name__ != "AveragePool2D"

    def divided_rate(self, l, c):
        n = (4 if l == 1 else 24) * (self.net.n_steps * self.net.spikes_per_unit) ** 2
        n += self.squares(l, c)
        return max(1, self.rate // ((1 if l == self.L else 4) * n))

    def meetings(self, l):
        """How often each unit below meets the weights of layer l: as often as a kernel is on it."""
        layers = getattr(self.net, "layers", None)
        if layers is None or type(layers[l - 1]).__name__ != "Conv2D":
            return [1] * self.sizes[l - 1]
        times = [0] * self.sizes[l - 1]
        for i, j, _, _ in self.synapses[l]:
            times[i] += j % layers[l - 1].channels == 0
        return times

    def random_number(self, l, w):
        golden = 0x9E3779B97F4A7C15
        state = 0
        for v in (self.net.seed, self.samples_seen, self.t, l):
            state = mix(state + golden * (v + 1))
        return mix(state + golden * (w + 1)) // 2**48


def cut_off(values, most):
    return [v if most is None else max(-most, min(most, v)) for v in values]


def mix(z):
    """The finalizer of SplitMix64."""
    z %= 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)
