"""Conventional networks that learn on line, each as fast as its tools allow.

All are multi-layer perceptrons of rectified units without bias, trained by plain gradient descent
on half the squared error, one sample at a time, from the same initial weights, in one thread. Only
scikit-learn's network differs: `MLPClassifier` always has biases and the logistic loss.

Each rival has ``train(x, y)`` and ``predict(x)`` over the samples of a block, in single precision
unless its name says double: half the bytes take half the time where matrices fill the cache.
"""

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits


class Rival:
    """A network with given initial weights, and with a name for the table."""

    name = ""
    dtype = np.float32

    def __init__(self, weights, learning_rate):
        self.weights = tuple(np.array(w, self.dtype, order="C") for w in weights)
        self.rate = self.dtype(learning_rate)
        self.one_hot = np.eye(weights[-1].shape[1], dtype=self.dtype)

    def prepare(self, x):
        """Bring input into the form in which the rival is fastest; this is not timed."""
        return np.ascontiguousarray(x, self.dtype)


# --- (a) PyTorch -------------------------------------------------------------------------------


def linear_modules(torch, weights):
    """The modules of PyTorch that hold matrices, each with a ReLU behind it."""
    modules = []
    for matrix in weights:
        linear = torch.nn.Linear(*matrix.shape, bias=False)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(matrix.T.copy()))
        modules += [linear, torch.nn.ReLU()]
    return modules


class PyTorch(Rival):
    """A sequence of modules, of which the last is a ReLU; `modules` makes them of the weights."""

    name = "PyTorch, batch of one"

    def __init__(self, weights, learning_rate, modules=linear_modules):
        super().__init__(weights, learning_rate)
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.model = torch.nn.Sequential(*modules(torch, self.weights))
        # The scores are the last drive before it is rectified.
        self.scores = self.model[:-1]
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=learning_rate)

    def prepare(self, x):
        return self.torch.from_numpy(super().prepare(x))

    def train(self, x, y):
        targets = self.torch.from_numpy(self.one_hot[y])
        for i in range(len(x)):
            self.optimizer.zero_grad()
            loss = 0.5 * ((self.model(x[i : i + 1]) - targets[i : i + 1]) ** 2).sum()
            loss.backward()
            self.optimizer.step()

    def predict(self, x):
        with self.torch.inference_mode():
            return np.concatenate([self.scores(x[i : i + 1]).numpy() for i in range(len(x))])


# --- (b) scikit-learn --------------------------------------------------------------------------


class ScikitLearn(Rival):
    name = "scikit-learn partial_fit"

    def __init__(self, weights, learning_rate):
        super().__init__(weights, learning_rate)
        from sklearn.neural_network import MLPClassifier

        self.model = MLPClassifier(
            hidden_layer_sizes=[w.shape[1] for w in weights[:-1]],
            solver="sgd",
            learning_rate_init=learning_rate,
            momentum=0,
            alpha=0,
            batch_size=1,
            random_state=0,
        )
        self.classes = np.arange(weights[-1].shape[1])

    def train(self, x, y):
        for i in range(len(x)):
            self.model.partial_fit(x[i : i + 1], y[i : i + 1], classes=self.classes)

    def predict(self, x):
        return np.concatenate([self.model.predict_proba(x[i : i + 1]) for i in range(len(x))])


# --- (c) and (e): Numba ------------------------------------------------------------------------


@njit(fastmath=True, cache=True)
def dense_drive(a, W, skip):
    """S = a W, by the matrix library or, with `skip`, row by row without rows of zero input."""
    if not skip:
        return a @ W
    s = np.zeros(W.shape[1], W.dtype)
    for i in range(a.size):
        if a[i] != 0:
            for j in range(s.size):
                s[j] += a[i] * W[i, j]
    return s


@njit(fastmath=True, cache=True)
def back(e, W, s, skip):
    """The errors below, (W e) gated by s >= 0."""
    below = np.zeros(W.shape[0], W.dtype)
    if not skip:
        below[:] = W @ e
        for i in range(below.size):
            if s[i] < 0:
                below[i] = 0
        return below
    for i in range(below.size):
        if s[i] >= 0:
            for j in range(e.size):
                below[i] += W[i, j] * e[j]
    return below


@njit(fastmath=True, cache=True)
def update(W, rate, a, e):
    """W -= rate * outer(a, e), rows of zero input skipped."""
    for i in range(a.size):
        if a[i] != 0:
            change = rate * a[i]
            for j in range(e.size):
                W[i, j] -= change * e[j]


@njit(cache=True)
def rectified(s):
    return np.where(s > 0, s, s * 0)


@njit(cache=True)
def train_numba(weights, rate, x, targets, skip):
    """Works for any number of layers: the matrices come as a list."""
    L = len(weights)
    for n in range(x.shape[0]):
        a, s = [x[n]], [x[n]]
        for l in range(L):
            s.append(dense_drive(a[l], weights[l], skip))
            a.append(rectified(s[l + 1]))
        e = a[L] - targets[n]
        for j in range(e.size):
            if s[L][j] < 0:
                e[j] = 0
        for l in range(L - 1, -1, -1):
            below = e
            if l > 0:
                below = back(e, weights[l], s[l], skip)
            update(weights[l], rate, a[l], e)
            e = below


@njit(cache=True)
def predict_numba(weights, x, skip):
    scores = np.empty((x.shape[0], weights[-1].shape[1]), x.dtype)
    for n in range(x.shape[0]):
        a = x[n]
        for l in range(len(weights) - 1):
            a = rectified(dense_drive(a, weights[l], skip))
        scores[n] = dense_drive(a, weights[-1], skip)
    return scores


class NumbaDense(Rival):
    name = "Numba, dense (BLAS)"
    skip = False

    def train(self, x, y):
        train_numba(self.weights, self.rate, x, self.one_hot[y], self.skip)

    def predict(self, x):
        return predict_numba(self.weights, x, self.skip)


class NumbaDenseDouble(NumbaDense):
    name = "Numba, dense (BLAS), double precision"
    dtype = np.float64


class NumbaSparse(NumbaDense):
    name = "Numba, zeros skipped everywhere"
    skip = True


# --- (d) NumPy ---------------------------------------------------------------------------------


class NumPy(Rival):
    name = "NumPy"

    def _forward(self, x):
        a, s = [x], [x]
        for W in self.weights:
            s.append(a[-1] @ W)
            a.append(np.maximum(s[-1], 0))
        return a, s

    def train(self, x, y):
        targets = self.one_hot[y]
        for n in range(len(x)):
            a, s = self._forward(x[n])
            e = (a[-1] - targets[n]) * (s[-1] >= 0)
            for l in range(len(self.weights) - 1, -1, -1):
                W = self.weights[l]
                below = (W @ e) * (s[l] >= 0) if l > 0 else e
                active = np.flatnonzero(a[l])
                W[active] -= np.outer(self.rate * a[l][active], e)
                e = below

    def predict(self, x):
        return np.array([self._forward(x[n])[1][-1] for n in range(len(x))])


RIVALS = (PyTorch, ScikitLearn, NumbaDense, NumbaDenseDouble, NumPy, NumbaSparse)


def rivals(weights, learning_rate, without=()):
    """Return the rivals that are installed, by class name."""
    found = {}
    for cls in RIVALS:
        if cls.__name__.lower() in without:
            continue
        try:
            found[cls.__name__] = cls(weights, learning_rate)
        except ImportError:
            print(f"# {cls.name} is left out: not installed")
    return found


def one_thread():
    """Keep matrix libraries to one thread, as a context manager."""
    return threadpool_limits(1)
