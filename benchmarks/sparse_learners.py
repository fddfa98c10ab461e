"""Learners of rows with few active inputs and of two classes, 0 and 1, with one interface.

Each is made for a number of inputs and a seed. ``prepare(X, y)`` brings rows of a sparse matrix,
all of whose entries are 1, and their labels into the form in which a user of the library has them;
this is not timed. ``learn`` takes both, and ``predict`` the rows. ``weight_bytes`` is what weights
need. A learner with ``one_row = True`` takes several rows one after the other, and gains nothing.
"""

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.utils.validation import check_array, check_X_y

from spikebp_plugins import Simulator, SpikingMLP, SpikingMLPClassifier

HIDDEN, CLASSES, ONE_THREAD = 100, [0, 1], "compiled:n_jobs=1"


class Learner:
    one_row = False

    def prepare(self, X, y):
        return X, y


# --- ours ----------------------------------------------------------------------------------------


class Engine(Learner):
    def __init__(self, n_inputs, seed=0):
        self.sim = Simulator(SpikingMLP((n_inputs, HIDDEN, 2), seed=seed), n_jobs=1)
        self.weight_bytes = 4 * HIDDEN * n_inputs

    def learn(self, x, y):
        self.sim.train(x, y)

    def predict(self, x):
        return self.sim.predict(x).argmax(axis=1)


class Estimator(Learner):
    def __init__(self, n_inputs, seed=0, hidden=(HIDDEN,)):
        self.model = SpikingMLPClassifier(hidden, random_state=seed, backend=ONE_THREAD)
        self.weight_bytes = 4 * n_inputs * (*hidden, 2)[0]

    def learn(self, x, y):
        self.model.partial_fit(x, y, classes=CLASSES)

    def predict(self, x):
        return self.model.predict(x)


class Validation(Learner):
    """What scikit-learn itself does with rows before an estimator sees them."""

    weight_bytes = 0

    def __init__(self, n_inputs, seed=0):
        pass

    def learn(self, x, y):
        check_X_y(x, y, accept_sparse="csr", dtype=np.float64)

    def predict(self, x):
        return check_array(x, accept_sparse="csr", dtype=np.float64)


# --- of river, with the samples in dictionaries --------------------------------------------------


class OneByOne(Learner):
    one_row = True

    def prepare(self, X, y):
        units = np.split(X.indices, X.indptr[1:-1])
        return [dict.fromkeys(row.tolist(), 1.0) for row in units], y.tolist()

    def learn(self, x, y):
        for row, label in zip(x, y, strict=True):
            self.model.learn_one(row, label)

    def predict(self, x):
        return [int(self.model.predict_one(row)) for row in x]


class RiverSpiking(OneByOne):
    def __init__(self, n_inputs, seed=0):
        from spikebp_plugins.river import SpikingMLPClassifier as Classifier

        self.model = Classifier(n_inputs, 2, (HIDDEN,), seed=seed, backend=ONE_THREAD)
        self.weight_bytes = 4 * HIDDEN * n_inputs


class RiverLogistic(OneByOne):
    def __init__(self, n_inputs, seed=0):
        from river.linear_model import LogisticRegression

        self.model = LogisticRegression()
        self.weight_bytes = 8 * n_inputs


# --- scikit-learn --------------------------------------------------------------------------------


class SGD(Learner):
    def __init__(self, n_inputs, seed=0, rate=0.1):
        options = {"learning_rate": "constant", "eta0": rate, "random_state": seed}
        self.model = SGDClassifier(loss="log_loss", **options)
        self.weight_bytes = 8 * n_inputs

    def learn(self, x, y):
        self.model.partial_fit(x, y, classes=CLASSES)

    def predict(self, x):
        return self.model.predict(x)


# --- Vowpal Wabbit -------------------------------------------------------------------------------


class VowpalWabbit(Learner):
    """A call with one row gets a line of text, one with more gets examples that it has parsed."""

    def __init__(self, n_inputs, seed=0, units=0):
        from vowpalwabbit import Workspace

        # Inputs are numbers, and so their own hash; one bit more has room for the constant. Hidden
        # units share the table of weights.
        bits = n_inputs.bit_length() + units.bit_length()
        network = f"--nn {units} --random_seed {seed}" if units else ""
        self.workspace = Workspace(f"-b {bits} --loss_function logistic --quiet {network}")
        self.weight_bytes = 4 * n_inputs * max(units, 1)

    def prepare(self, X, y):
        units = np.split(X.indices, X.indptr[1:-1])
        lines = [
            f"{2 * label - 1} | {' '.join(map(str, row.tolist()))}"
            for row, label in zip(units, y, strict=True)
        ]
        return (lines if len(lines) == 1 else [*map(self.workspace.parse, lines)]), None

    def learn(self, x, _):
        for example in x:
            self.workspace.learn(example)

    def predict(self, x):
        return [int(self.workspace.predict(example) > 0) for example in x]


# --- PyTorch -------------------------------------------------------------------------------------


class PyTorch(Learner):
    """The mean gradient of a call, which is a mini-batch, moves the weights once."""

    def __init__(self, n_inputs, seed=0, rate=0.1):
        import torch
        from torch import nn

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.torch, self.loss = torch, nn.CrossEntropyLoss()
        self.first = nn.EmbeddingBag(n_inputs, HIDDEN, mode="sum", sparse=True)
        # As drawn by default, from a standard normal, words drown what is learned of them.
        nn.init.normal_(self.first.weight, std=0.03)
        self.model = nn.Sequential(nn.ReLU(), nn.Linear(HIDDEN, 2))
        parameters = [*self.first.parameters(), *self.model.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=rate)
        self.weight_bytes = 4 * HIDDEN * n_inputs

    def prepare(self, X, y):
        as_int64 = [np.asarray(part, np.int64) for part in (X.indices, X.indptr[:-1], y)]
        unit, begin, label = map(self.torch.from_numpy, as_int64)
        return (unit, begin), label

    def learn(self, x, y):
        self.optimizer.zero_grad()
        self.loss(self.model(self.first(*x)), y).backward()
        self.optimizer.step()

    def predict(self, x):
        with self.torch.inference_mode():
            return self.model(self.first(*x)).argmax(axis=1).numpy()
