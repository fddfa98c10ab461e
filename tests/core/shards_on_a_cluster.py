"""What `test_dask` checks of shards, in a process of its own: named checks, each of which prints.

Most use workers that are threads of this process; those that kill or count workers use processes.
"""

import os
import pickle
import re
import signal
import sys
import threading
from fractions import Fraction

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from equal_scalings import assert_same_scalings  # beside this script
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits

from spikebp_plugins import (
    Checkpoint,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingMLPRegressor,
)
from spikebp_plugins.dask import fit_shards, predict, shards
from spikebp_plugins.dask.plan import Plan

X, Y = load_digits(return_X_y=True)
NET = SpikingMLP((64, 12, 10), seed=3, input_scale=1 / 16)


def cluster(n_workers=2, processes=False, **settings):
    settings |= {"threads_per_worker": 1, "dashboard_address": None}
    return LocalCluster(n_workers=n_workers, processes=processes, **settings)


def arrays(x=X, y=Y, rows=300):
    """Return samples in blocks that are as they come: columns apart, and targets otherwise."""
    return da.from_array(x, chunks=(rows, 30)), da.from_array(y, chunks=500)


def frames():
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)]).assign(digit=Y)
    of_dask = dd.from_pandas(frame, npartitions=5)
    return of_dask.drop(columns="digit"), of_dask["digit"]


def lists():
    x, y = arrays()
    return x.rechunk((300, -1)).map_blocks(csr_matrix), y


def refused(message):
    return pytest.raises((ValueError, OSError), match=re.escape(message))


def classifier(**parameters):
    return SpikingMLPClassifier((12,), random_state=0, **parameters)


def checkpoint_of(learned):
    return learned if isinstance(learned, Checkpoint) else learned.checkpoint_


RUNS = {
    "arrays": lambda: fit_shards(classifier(), *arrays(), samples_per_round=90, epochs=2),
    "lists": lambda: fit_shards(classifier(), *lists(), samples_per_round=90, epochs=2),
    "frames": lambda: fit_shards(classifier(), *frames(), n_shards=3, samples_per_round=90),
    "numbers": lambda: fit_shards(SpikingMLPRegressor((9,), random_state=0), *arrays()),
    "network": lambda: fit_shards(NET, *arrays(), n_shards=9, samples_per_round=40),
}


def check_workers():
    """The same on one, two and four workers, of which none sends its samples to the client."""
    found, checked, sent = [], shards.Cluster.checked, []

    def check(*arguments):
        sent.append(checked(*arguments))
        return sent[-1]

    shards.Cluster.checked = check
    for n_workers in (1, 2, 4):
        with cluster(n_workers) as workers, Client(workers):
            found.append({name: run() for name, run in RUNS.items()})
    assert len(sent) == 3 * len(RUNS)
    assert max(len(pickle.dumps(parts)) for parts in sent) < X.nbytes / 50
    for name in RUNS:
        first, *others = (of_workers[name] for of_workers in found)
        for other in others:
            assert checkpoint_of(first) == checkpoint_of(other), name
            if not isinstance(first, Checkpoint):
                assert first.loss_curve_ == other.loss_curve_
                assert first._learned.rate == other._learned.rate
    assert checkpoint_of(found[0]["arrays"]) == checkpoint_of(found[0]["lists"])
    assert found[0]["arrays"].score(X, Y) > 0.9
    assert found[0]["frames"].feature_names_in_[3] == "pixel 3"


def whole(units):
    return [[[int(unit) for unit in row] for row in matrix] for matrix in units]


def merged(weights, ratio, before=None):
    """Return rint(ratio * weights), or weights + rint(ratio * (weights - before)), by fractions."""
    return [
        [
            [
                round(ratio * w) if before is None else w + round(ratio * (w - before[l][i][j]))
                for j, w in enumerate(row)
            ]
            for i, row in enumerate(matrix)
        ]
        for l, matrix in enumerate(weights)
    ]


def check_rule():
    """The integers of three shards are those of the equations, with fractions of Python."""
    n, rounds = 3, 4
    net = NET.replace(layer_sizes=(64, 4, 10), fraction_bits=NET.fraction_bits)
    x, y = X[:500], Y[:500]
    lengths = (200, 200, 100)
    plan = Plan(lengths, n, 45, net.seed)
    assert plan.n_rounds == rounds
    starts = np.cumsum([0, *lengths])
    checkpoint = Simulator(net).checkpoint()
    before = mean = whole(checkpoint.state.weights.units)
    for i in range(rounds):
        start = merged(mean, Fraction(n - 1, n), before)
        state = checkpoint.state
        reals = [np.array(matrix) * 2.0**state.weights.exponent for matrix in start]
        learned = []
        for parts in plan.round(0, i):
            rows = np.concatenate([starts[part.partition] + part.rows for part in parts])
            begun = Checkpoint(net, state.with_reals(weights=reals)).simulate()
            begun.train(x[rows], y[rows])
            learned.append(begun.checkpoint())
        of_layers = zip(*(shard.state.weights.units for shard in learned), strict=True)
        total = [np.sum(matrices, axis=0, dtype=object) for matrices in of_layers]
        before, mean = mean, merged(whole(total), Fraction(1, n))
        checkpoint = learned[-1]
    with cluster() as workers, Client(workers):
        found = fit_shards(net, *arrays(x, y, 200), n_shards=n, samples_per_round=45)
    assert whole(found.state.weights.units) == mean
    assert found.state.backward_potentials == checkpoint.state.backward_potentials
    assert found.state.samples_seen == 500


def check_plan():
    """Each sample comes once in an epoch, in rounds of about equal size."""
    for lengths, n_shards, most, seed in (
        ((7, 0, 13, 5), 3, 4, 0),
        ((100,), 7, 3, None),
        ((1, 1, 1), 3, 10, 5),
        ((5, 2), 1, 2, 1),
    ):
        plan = Plan(lengths, n_shards, most, seed)
        orders = []
        for epoch in range(2):
            shown = [plan.round(epoch, i) for i in range(plan.n_rounds)]
            sizes = [[sum(len(p.rows) for p in parts) for parts in r] for r in shown]
            assert max(max(r) for r in sizes) <= most
            assert np.ptp(np.sum(sizes, axis=0)) <= 1
            order = [
                (part.partition, row)
                for s in range(n_shards)
                for r in shown
                for part in r[s]
                for row in part.rows.tolist()
            ]
            every = [(i, row) for i, n in enumerate(lengths) for row in range(n)]
            assert sorted(order) == every
            orders.append(order)
            assert seed is not None or order == every
        assert (orders[0] == orders[1]) == (seed is None)


def check_one_shard():
    """One shard learns what `fit` does: the scaling, too, is that of samples in memory."""
    random = np.random.RandomState(0)
    x = random.standard_normal((9000, 6)) * [1, 50, 1e-3, 1, 1, 1] + [0, 9, 0, 5, 0, 0]
    x[:, 4:] *= random.rand(9000, 2) < 0.1
    x[4000, 1] = 1e6
    y = (x[:, 0] + x[:, 3] > 5).astype(int)
    settings = {"shuffle": False, "early_stopping": False, "max_iter": 2, "random_state": 0}
    of_dask = da.from_array(x, chunks=((1234, 1, 5000, 2765), (6,)))
    with cluster() as workers, Client(workers):
        for kind, targets in ((SpikingMLPClassifier, y), (SpikingMLPRegressor, x[:, :2] * 7)):
            model = kind((8,), **settings)
            alone = model.fit(x, targets)
            asked = da.from_array(targets, chunks=2000)
            for rows in (of_dask, of_dask.map_blocks(csr_matrix)):
                found = fit_shards(model, rows, asked, n_shards=1, epochs=2)
                assert found is not model
                assert found.checkpoint_ == alone.checkpoint_
                assert_same_scalings(found.input_scaling_, alone.input_scaling_)
                assert found._learned.rate == alone._learned.rate
                np.testing.assert_allclose(found.loss_curve_, alone.loss_curve_, rtol=1e-12)
                if kind is SpikingMLPRegressor:
                    assert_same_scalings(found.target_scaling_, alone.target_scaling_)
                else:
                    assert (found.predict_proba(x) == alone.predict_proba(x)).all()


def check_resumed():
    """A run that was interrupted in the second epoch goes on from its file to the same end."""
    write, rounds = shards.write_round, []

    def interrupted(*arguments):
        write(*arguments)
        rounds.append(arguments)
        if len(rounds) == 9:
            raise KeyboardInterrupt

    with cluster() as workers, Client(workers):
        for model in (classifier(), NET):
            settings = {"samples_per_round": 75, "epochs": 3}  # six rounds an epoch
            straight = fit_shards(model, *arrays(), **settings)
            rounds.clear()
            shards.write_round = interrupted
            with pytest.raises(KeyboardInterrupt):
                fit_shards(model, *arrays(), save="run.npz", **settings)
            shards.write_round = write
            going_on = {"save": "run.npz", "resume": True}
            with refused("samples_per_round is 75 there and 80 here"):
                fit_shards(model, *arrays(), samples_per_round=80, epochs=3, **going_on)
            again = fit_shards(model, *arrays(), **settings, **going_on)
            assert checkpoint_of(again) == checkpoint_of(straight)
            assert Checkpoint.load("run.npz") == checkpoint_of(straight)
            if model is not NET:
                assert again.loss_curve_ == straight.loss_curve_
                loaded = SpikingMLPClassifier.load("run.npz").partial_fit(X[:50], Y[:50])
                assert loaded.checkpoint_ == straight.partial_fit(X[:50], Y[:50]).checkpoint_


def check_going_on():
    """An estimator goes on, with the orders of later epochs, and one that is given stays."""
    with cluster() as workers, Client(workers):
        model = fit_shards(classifier(warm_start=True), *arrays())
        before = model.checkpoint_
        later = fit_shards(model, *arrays(), epochs=2)
        assert model.checkpoint_ == before
        assert (model.n_iter_, later.n_iter_, len(later.loss_curve_)) == (1, 3, 3)
        assert later.loss_curve_[2] < later.loss_curve_[0] / 2
        with refused("y must be labels among the classes [0 1"):
            fit_shards(model, *arrays(y=Y + 1))
        assert later.score(X, Y) > 0.9
        later.partial_fit(X[:9], Y[:9])


def check_predictions():
    """Predictions of blocks are those of all samples in memory."""
    model = classifier(max_iter=2).fit(X, Y)
    numbers = SpikingMLPRegressor((9,), max_iter=2, random_state=0).fit(X, X[:, 20:22])
    checkpoint = Simulator(NET).checkpoint()
    for method in ("predict", "predict_proba", "decision_function"):
        for given in (arrays()[0], lists()[0]):
            found = predict(model, given, method)
            assert found.shape == getattr(model, method)(X).shape
            np.testing.assert_array_equal(found.compute(), getattr(model, method)(X))
    np.testing.assert_array_equal(predict(numbers, arrays()[0]).compute(), numbers.predict(X))
    scores = predict(checkpoint, arrays()[0])
    np.testing.assert_array_equal(scores.compute(), checkpoint.simulate().predict(X))
    frame = frames()[0]
    named = classifier(max_iter=2).fit(frame.compute(), Y)
    np.testing.assert_array_equal(predict(named, frame).compute().to_numpy(), model.predict(X))
    assert predict(named, frame, "predict_proba").compute().shape == (1797, 10)


def check_refusals():
    """What is wrong is refused with one sentence, before anything was learned."""
    x, y = arrays()
    nan = X.copy()
    nan[1000, 2] = np.nan
    cases = [
        ({"X": X}, "X must be an array or a frame of Dask (dask.array.from_array makes one)"),
        ({"y": Y}, "y must be an array or a frame of Dask"),
        ({"y": y[:-1]}, "y must be a target for each of 1797 samples"),
        ({"y": frames()[1]}, "y must be in 6 partitions, as X is; got 5 partitions"),
        ({"X": arrays(nan)[0]}, "in partition 3, Input X contains NaN"),
        ({"y": y / 3}, "in partition 0, Unknown label type"),
        ({"n_shards": 0}, "n_shards must be an integer from 1 to 512; got 0"),
        ({"n_shards": 400, "X": x[:300], "y": y[:300]}, "n_shards must be at most 300"),
        ({"samples_per_round": 0}, "samples_per_round must be an integer of at least 1"),
        ({"epochs": 1.5}, "epochs must be an integer of at least 1; got 1.5"),
        ({"client": 3}, "client must be a Client of distributed"),
        ({"resume": 1}, "resume must be"),
        ({"resume": True}, "save must be the file to go on from, to resume; got None"),
        ({"save": "no/folder.npz"}, "there is no folder no to write folder.npz to"),
        ({"model_or_net": 3}, "net must be"),
        ({"model_or_net": NET.replace(layer_sizes=(63, 10))}, "in partition 0, x must be of shape"),
        *(
            (
                {"model_or_net": classifier(**{name: value})},
                f"{name} must be {allowed}, to learn",
            )
            for name, value, allowed in (
                ("replay_capacity", 9, "0"),
                ("callback", print, "None"),
                ("early_stopping", True, "'auto' or False"),
                ("class_weight", "balanced", "None"),
            )
        ),
    ]
    with cluster() as workers, Client(workers):
        for changes, message in cases:
            arguments = {"model_or_net": classifier(), "X": x, "y": y} | changes
            given = [arguments.pop(name) for name in ("model_or_net", "X", "y")]
            with refused(message):
                fit_shards(*given, **arguments)
    with refused("None, and there is none"):
        fit_shards(classifier(), x, y)
    with refused("X must be an array or a frame of Dask"):
        predict(classifier(), X)
    with refused("method must be a method of SpikingMLPClassifier; got 'guess'"):
        predict(classifier(), x, "guess")
    with refused("method must be"):
        predict(Simulator(NET).checkpoint(), x, "predict_proba")


LIMIT = 350_000_000


def made_block(block_info=None):
    """Return a part of samples that are made when they are needed."""
    (start, end), (_, width) = block_info[None]["array-location"]
    return np.random.default_rng(start).random((end - start, width))


def check_memory():
    """Samples that need twice the memory of two workers, of which one is killed in a round."""
    rows, width = 4000, 500
    n_blocks = -(-2 * 2 * LIMIT // (8 * rows * width))
    x = da.map_blocks(made_block, chunks=((rows,) * n_blocks, (width,)), dtype=float)
    assert x.nbytes >= 2 * 2 * LIMIT
    y = (x[:, 0] > 0.5).astype(int)
    run = {"n_shards": 2, "samples_per_round": 4000}
    model = SpikingMLPClassifier((4,), random_state=0)
    with cluster(2, processes=True, memory_limit=LIMIT) as workers, Client(workers) as client:
        pids = list(client.run(os.getpid).values())
        learned, killed = shards.Cluster.round, []

        def round_with_a_loss(*arguments):
            if arguments[3].round == 3:
                killed.append(threading.Timer(0.05, os.kill, (pids[0], signal.SIGKILL)))
                killed[0].start()
            return learned(*arguments)

        shards.Cluster.round = round_with_a_loss
        found = fit_shards(model, x, y, **run)
        assert killed
        assert pids != list(client.run(os.getpid).values())
        shards.Cluster.round = learned
    with cluster(1) as workers, Client(workers):
        assert fit_shards(model, x, y, **run).checkpoint_ == found.checkpoint_


# Workers are processes that import this script.
if __name__ == "__main__":
    globals()[f"check_{sys.argv[1]}"]()
    print("passed")
