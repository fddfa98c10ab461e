"""Conventional networks that learn on line, each as fast as its tools allow.

All are multi-layer perceptrons of rectified units without bias, trained by plain gradient descent
on half the squared error, one sample at a time, from the same initial weights, in one thread. Only
scikit-learn's network differs: `MLPClassifier` always has biases and the logistic loss.

Each rival has ``train(x, y)`` and ``predict(x)`` over the samples of a block, in single precision
unless its name says double: half the bytes take half the time where matrices fill the cache.
"""

import numpy as np
from threadpoolctl import threadpool_limits


class Rival:
    """A network with given initial weights; its name for the table, and how to install it."""

    name = install = ""
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

    name, install = "PyTorch, batch of one", "pip install torch"

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


class InNumba(Rival):
    """A network that Numba compiles, of which `in_numba.py` has the functions."""

    install = "pip install --group rivals"

    def __init__(self, weights, learning_rate):
        super().__init__(weights, learning_rate)
        import in_numba

        self.compiled = in_numba


class NumbaDense(InNumba):
    name = "Numba, dense (BLAS)"
    skip = False

    def train(self, x, y):
        self.compiled.train_dense(self.weights, self.rate, x, self.one_hot[y], self.skip)

    def predict(self, x):
        return self.compiled.predict_dense(self.weights, x, self.skip)


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


def installed(classes, without, *arguments):
    """Return rivals of these classes by class name; say how to install those that are missing."""
    found = {}
    for cls in classes:
        if cls.__name__.lower() in without:
            continue
        try:
            found[cls.__name__] = cls(*arguments)
        except ImportError:
            print(f"# {cls.name} is left out: `{cls.install}` installs it")
    return found


def rivals(weights, learning_rate, without=()):
    """Return the rivals that are installed, by class name."""
    return installed(RIVALS, without, weights, learning_rate)


def one_thread():
    """Keep matrix libraries to one thread, as a context manager."""
    return threadpool_limits(1)
