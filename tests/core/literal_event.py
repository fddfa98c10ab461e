"""The order of docs/event_order.md transcribed as literally as possible.

Numbers are NumPy scalars, so that each operation is rounded as the type says; loops run over
single units and single spikes; a generator hands out the spikes of a layer one by one, so that
the depth-first order is a recursion and the breadth-first order a list. Nothing here is shared
with the package. It is the oracle of the compiled engine, and logs all spikes in the order in
which they leave.
"""

from typing import NamedTuple

import numpy as np


class Spike(NamedTuple):
    unit: int
    sign: int


class JavaQueue:
    """What ``java.util.PriorityQueue`` does with entries whose largest key comes first.

    A sorted list would do for unequal keys. Entries of equal keys leave in the order of this heap.
    """

    def __init__(self):
        self.entries = []

    def offer(self, key, spike):
        self.entries.append(None)
        place = len(self.entries) - 1
        while place > 0:
            parent = (place - 1) // 2
            if self.entries[parent][0] >= key:
                break
            self.entries[place] = self.entries[parent]
            place = parent
        self.entries[place] = (key, spike)

    def poll(self):
        first, last = self.entries[0], self.entries.pop()
        n = len(self.entries)
        if n > 0:
            place = 0
            while place < n // 2:
                child = 2 * place + 1
                if child + 1 < n and self.entries[child + 1][0] > self.entries[child][0]:
                    child += 1
                if last[0] >= self.entries[child][0]:
                    break
                self.entries[place] = self.entries[child]
                place = child
            self.entries[place] = last
        return first[1]


class LiteralEventNetwork:
    def __init__(self, net, weights):
        self.net = net
        self.number = np.dtype(net.arithmetic).type
        self.rate = np.float32(net.learning_rate) / (
            np.float32(net.n_steps) * np.float32(net.n_steps)
        )
        self.sizes, self.L = net.layer_sizes, len(net.layer_sizes) - 1
        self.W = [None, *(self.matrix(w) for w in weights)]
        self.psi = self.zeros()
        self.log = []
        # Spikes that left each layer, error spikes behind the gate, weights changed.
        self.n_sent, self.n_passed = ([0] * len(self.sizes) for _ in range(2))
        self.n_changed = 0

    def matrix(self, values):
        return [[self.number(v) for v in row] for row in np.asarray(values)]

    def zeros(self):
        return [[self.number(0) for _ in range(n)] for n in self.sizes]

    def show(self, xs, ys):
        """Show one sample; ys None predicts. Return spikes, errors and drives of all steps."""
        self.phi, self.s, self.c, self.E = (self.zeros() for _ in range(4))
        self.phi_y = [self.number(0) for _ in range(self.sizes[-1])]
        self.net_backward = [[0] * n for n in self.sizes]
        self.gross_backward = [[0] * n for n in self.sizes]
        if ys is not None and self.net.backward_init == "zero":
            self.psi = self.zeros()
        self.learning = ys is not None
        all_k, all_e, all_s = [], [], []
        for t in range(len(xs)):
            self.k, self.e = ([[0] * n for n in self.sizes] for _ in range(2))
            self.held = [0] * self.sizes[-1]
            self.forward(xs[t])
            if ys is not None:
                self.compare(ys[t])
            all_k.append(self.k)
            all_e.append(self.e)
            all_s.append(list(self.s[-1]))
        if ys is not None and self.net.update == "outer":
            for l in range(1, self.L + 1):
                for j in range(self.sizes[l]):
                    self.change(l, j, self.E[l][j] * self.number(self.rate))
        return all_k, all_e, all_s

    # The quantizers.

    def added(self, potential, values, sign, *, rectify):
        """Add values to a layer's potentials, and yield its spikes as they leave."""
        for unit, value in enumerate(values):
            potential[unit] += self.number(sign) * value
        queue = JavaQueue()
        for unit in range(len(potential)):
            if rectify:
                self.fire_rectified(potential, unit, queue)
            else:
                self.fire_signed(potential, unit, queue)
        while queue.entries:
            yield queue.poll()

    def fire_rectified(self, potential, unit, queue):
        while np.float32(potential[unit]) > np.float32(0.5):
            queue.offer(np.float32(potential[unit]), Spike(unit, 1))
            potential[unit] -= self.number(1)

    def fire_signed(self, potential, unit, queue):
        v = np.float32(potential[unit])
        while v > np.float32(0.5):
            queue.offer(v, Spike(unit, 1))
            v -= np.float32(1)
        while v < np.float32(-0.5):
            queue.offer(-v, Spike(unit, -1))
            v += np.float32(1)
        potential[unit] = self.number(v)

    # Forward.

    def forward(self, x):
        encoded = [self.encoded(v) for v in x]
        fired = self.added(self.phi[0], encoded, 1, rectify=False)
        if self.net.order == "depth":
            for spike in fired:
                self.climb(0, spike)
            return
        spikes = [self.sent(0, spike) for spike in fired]
        for l in range(1, self.L + 1):
            for i, sign in spikes:
                self.c[l - 1][i] += self.number(sign)
            above = []
            for i, sign in spikes:
                fired = self.added(self.phi[l], self.W[l][i], sign, rectify=True)
                above += [self.sent(l, spike) for spike in fired]
            for i, sign in spikes:
                self.drive(l, i, sign)
            spikes = above
        self.arrived_at_output(spikes)

    def encoded(self, value):
        return self.number(float(value) * self.net.input_scale)

    def climb(self, l, spike):
        i, sign = self.sent(l, spike)
        if l == self.L:
            self.arrived_at_output([spike])
            return
        self.drive(l + 1, i, sign)
        for above in self.added(self.phi[l + 1], self.W[l + 1][i], sign, rectify=True):
            self.climb(l + 1, above)
        self.c[l][i] += self.number(sign)

    def drive(self, l, i, sign):
        for j in range(self.sizes[l]):
            self.s[l][j] += self.number(sign) * self.W[l][i][j]

    def sent(self, l, spike):
        self.k[l][spike.unit] += spike.sign
        self.n_sent[l] += 1
        self.note("F", l, spike)
        return spike

    def note(self, direction, l, spike):
        self.log.append(f"{direction}{l} {'-' if spike.sign < 0 else '+'}{spike.unit}")

    # Backward.

    def arrived_at_output(self, spikes):
        if self.learning:
            self.hold_or_launch(spikes)

    def compare(self, y):
        target = [self.number(v) for v in y]
        fired = self.added(self.phi_y, target, -1, rectify=False)
        if self.net.order == "depth":
            for spike in fired:
                self.hold_or_launch([spike])
        else:
            self.hold_or_launch(list(fired))
        for unit, count in enumerate(self.held):
            for _ in range(abs(count)):
                self.launch([Spike(unit, 1 if count > 0 else -1)])

    def hold_or_launch(self, spikes):
        if self.net.hold_error:
            for unit, sign in spikes:
                self.held[unit] += sign
        else:
            self.launch(spikes)

    def launch(self, spikes):
        for spike in spikes:
            self.sent_back(self.L, spike)
        if self.net.order == "depth":
            for spike in spikes:
                self.descend(self.L, spike)
        else:
            self.cascade(self.L, spikes)

    def sent_back(self, l, spike):
        self.net_backward[l][spike.unit] += spike.sign
        self.gross_backward[l][spike.unit] += 1
        self.note("B", l, spike)
        return spike

    def passes(self, l, spike):
        return not self.s[l][spike.unit] < 0

    def cascade(self, l, spikes):
        spikes = [spike for spike in spikes if self.passes(l, spike)]
        columns = [self.column(l, spike.unit) for spike in spikes]
        for spike in spikes:
            self.learn(l, spike)
        if l > 1:
            below = []
            for spike, column in zip(spikes, columns, strict=True):
                fired = self.added(self.psi[l - 1], column, spike.sign, rectify=False)
                below += [self.sent_back(l - 1, sent) for sent in fired]
            self.cascade(l - 1, below)

    def descend(self, l, spike):
        if not self.passes(l, spike):
            return
        self.learn(l, spike)
        if l > 1:
            column = self.column(l, spike.unit)
            for below in self.added(self.psi[l - 1], column, spike.sign, rectify=False):
                self.descend(l - 1, self.sent_back(l - 1, below))

    def column(self, l, j):
        return [row[j] for row in self.W[l]]

    def learn(self, l, spike):
        self.e[l][spike.unit] += spike.sign
        self.n_passed[l] += 1
        self.E[l][spike.unit] += self.number(spike.sign)
        if self.net.update == "fractional":
            self.change(l, spike.unit, self.number(np.float32(spike.sign) * self.rate))

    def change(self, l, j, factor):
        for i, count in enumerate(self.c[l - 1]):
            if count > 0 and factor != 0:
                self.W[l][i][j] -= count * factor
                self.n_changed += 1
