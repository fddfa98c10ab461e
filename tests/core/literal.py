"""The step rules of docs/semantics.md transcribed as literally as possible.

Python integers count grid units, loops run over single units, and a quantizer fires one spike at
a time: nothing here is shared with the package, and nothing is vectorised. It is the oracle of
the reference engine.
"""

from fractions import Fraction


def to_units(value, bits):
    """rint(v * 2^f), ties to even."""
    return round(Fraction(float(value)) * 2**bits)


def scaled_units(value, scale, bits):
    # The product of value and scale is a float64 by definition.
    return to_units(float(value) * float(scale), bits)


class LiteralNetwork:
    def __init__(self, net, weights, feedback=None):
        self.net = net
        self.bits = net.fraction_bits
        self.one = 2**self.bits
        self.rate = round(Fraction(net.learning_rate / net.n_steps**2) * 2**self.bits)
        self.sizes = net.layer_sizes
        self.L = len(self.sizes) - 1
        self.W = [None] + [[[to_units(v, self.bits) for v in row] for row in w] for w in weights]
        self.B = None
        if net.feedback == "random":
            self.B = [None, None] + [
                [[to_units(v, self.bits) for v in row] for row in b] for b in feedback
            ]
        self.psi = [[0] * size for size in self.sizes]

    def fire(self, v, *, rectify):
        """While |v| > 1/2 fire one spike of v's sign and subtract it."""
        k = 0
        most = 1 if self.net.spikes == "binary" else None
        while 2 * v > self.one or (not rectify and 2 * v < -self.one):
            if most is not None and abs(k) == most:
                break
            sign = 1 if v > 0 else -1
            k += sign
            v -= sign * self.one
        return k, v

    def show(self, xs, ys):
        """Show one sample; ys None predicts. Return spikes, errors and drives of all steps."""
        sizes, L = self.sizes, self.L
        phi = [[0] * n for n in sizes]
        phi_y = [0] * sizes[L]
        s = [[0] * n for n in sizes]
        c = [[0] * n for n in sizes]
        E = [[0] * n for n in sizes]
        if ys is not None and self.net.backward_init == "zero":
            self.psi = [[0] * n for n in sizes]
        all_k, all_e, all_s = [], [], []
        for t in range(len(xs)):
            k = [[0] * n for n in sizes]
            for i in range(sizes[0]):
                if self.net.input_coding == "spikes":
                    k[0][i] = int(xs[t][i])
                    s[0][i] += k[0][i] * self.one
                else:
                    x = scaled_units(xs[t][i], self.net.input_scale, self.bits)
                    k[0][i], phi[0][i] = self.fire(phi[0][i] + x, rectify=False)
                    s[0][i] += x
                c[0][i] += k[0][i]
            for l in range(1, L + 1):
                for j in range(sizes[l]):
                    d = sum(k[l - 1][i] * self.W[l][i][j] for i in range(sizes[l - 1]))
                    s[l][j] += d
                    k[l][j], phi[l][j] = self.fire(phi[l][j] + d, rectify=True)
                    c[l][j] += k[l][j]
            all_k.append(k)
            all_s.append(list(s[L]))
            if ys is None:
                continue
            e = [[0] * n for n in sizes]
            for j in range(sizes[L]):
                m, phi_y[j] = self.fire(phi_y[j] + to_units(ys[t][j], self.bits), rectify=False)
                e[L][j] = 0 if s[L][j] < 0 else k[L][j] - m
            for l in range(L, 1, -1):
                for i in range(sizes[l - 1]):
                    for j in range(sizes[l]):
                        back = self.W[l][i][j] if self.B is None else self.B[l][j][i]
                        self.psi[l - 1][i] += e[l][j] * back
                    fired, self.psi[l - 1][i] = self.fire(self.psi[l - 1][i], rectify=False)
                    e[l - 1][i] = 0 if s[l - 1][i] < 0 else fired
            for l in range(1, L + 1):
                if self.net.update == "fractional":
                    self.descend(l, c[l - 1], s[l - 1], e[l])
                for j in range(sizes[l]):
                    E[l][j] += e[l][j]
            all_e.append(e)
        if ys is not None and self.net.update == "outer":
            for l in range(1, L + 1):
                self.descend(l, c[l - 1], s[l - 1], E[l])
        return all_k, all_e, all_s

    def descend(self, l, c, s, e):
        for i in range(self.sizes[l - 1]):
            factor = self.rate * c[i]
            if self.net.presynaptic == "drive":
                drive = s[i] if l == 1 else max(s[i], 0)
                factor = round(Fraction(self.rate * drive, self.one))  # ties to even
            for j in range(self.sizes[l]):
                self.W[l][i][j] -= factor * e[j]
