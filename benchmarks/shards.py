"""Shards on a Dask cluster: how well they learn, how fast, and from where sending is the limit.

**errors:** test errors after two epochs in shards, of MNIST and of a made stream of 200,000
samples, by network and by estimator; the first row is one after the other. **mean:** those of MNIST
without momentum between rounds. **processes:** two workers against one, and against a simulator
without a cluster, in turns: a network of 0.8 MB, and one with convolutions. **parts:** the time of
a sample, of sending 1 and 100 MB to a worker and back, and of a round that learns nothing; and what
follows for 2, 16 and 256 workers::

    SPIKEBP_DATA=... python benchmarks/shards.py
    python benchmarks/shards.py --parts processes,parts
    python benchmarks/shards.py --parts errors --shards 64x20,256x20
"""

import argparse
import contextlib
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from measuring import data_for_benchmark, network
from sklearn.datasets import make_classification

from spikebp_plugins import (
    Conv2D,
    Dense,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingNetwork,
)
from spikebp_plugins.dask import fit_shards, shards
from spikebp_plugins.dask.merging import whole_weights
from spikebp_plugins.data.images import shuffled

EPOCHS = 2
SHARDS = "2x500,4x100,4x500,4x2000,8x100,8x500,16x100,16x500"
PARTITION = 5000


@contextlib.contextmanager
def cluster(n_workers, processes=True):
    settings = {"threads_per_worker": 1, "processes": processes, "dashboard_address": None}
    with LocalCluster(n_workers=n_workers, **settings) as workers, Client(workers) as client:
        yield client


def collections(x, y, rows=PARTITION):
    return da.from_array(x, chunks=(rows, *x.shape[1:])), da.from_array(y, chunks=rows)


# --- errors --------------------------------------------------------------------------------------


def made_stream():
    """Return a stream of eight classes and 20,000 samples of it to test, for a plain network."""
    x, y = make_classification(
        220_000, 20, n_informative=20, n_redundant=0, n_classes=8, random_state=1
    )
    x = 2 * np.clip((x - x.mean(axis=0)) / x.std(axis=0), -4, 4)
    return x[:200_000], y[:200_000], x[200_000:], y[200_000:]


def data_sets():
    """Yield name, samples and networks."""
    data = data_for_benchmark()
    x, y = data.x_train, data.y_train
    test = data.x_test, data.y_test
    hidden = (200, 200)
    yield data.name, (x, y, *test), network(data, hidden, seed=0), hidden
    x, y, *test = made_stream()
    constant = [np.column_stack([rows, np.ones(len(rows))]) for rows in (x, test[0])]
    net = SpikingMLP((21, 200, 100, 8), seed=0)
    yield "made stream", (constant[0], y, constant[1], test[1]), net, (200, 100)


def one_after_the_other(given, x, y):
    if isinstance(given, SpikingMLPClassifier):
        return given.fit(x, y)
    simulator = Simulator(given)
    for epoch in range(EPOCHS):
        order = shuffled(len(x), given.seed, epoch)
        simulator.train(x[order], y[order])
    return simulator.checkpoint()


def error(learned, x, y):
    if isinstance(learned, SpikingMLPClassifier):
        return 100 * np.mean(learned.predict(x) != y)
    return 100 * np.mean(learned.simulate().predict(x).argmax(axis=1) != y)


def errors(tried):
    """Print the errors after two epochs."""
    for name, (x, y, *test), net, hidden in data_sets():
        model = SpikingMLPClassifier(hidden, max_iter=EPOCHS, early_stopping=False, random_state=0)
        print(f"\nError on {name} after {EPOCHS} epochs, %\n")
        print("| shards | samples a round | network | estimator |")
        print("|---|---|---|---|")
        alone = [error(one_after_the_other(given, x, y), *test) for given in (net, model)]
        print(f"| one after the other | | {alone[0]:.2f} | {alone[1]:.2f} |", flush=True)
        with cluster(2) as client:
            samples = [rows.persist() for rows in collections(x, y)]
            for n_shards, n_samples in tried:
                settings = {"n_shards": n_shards, "samples_per_round": n_samples}
                found = [
                    fit_shards(given, *samples, epochs=EPOCHS, client=client, **settings)
                    for given in (net, model)
                ]
                row = [error(learned, *test) for learned in found]
                print(f"| {n_shards} | {n_samples} | {row[0]:.2f} | {row[1]:.2f} |", flush=True)


def mean_alone():
    """Print the errors on MNIST where each round begins at the mean of the one before."""
    _, (x, y, *test), net, _ = next(data_sets())
    kept, shards.next_start = shards.next_start, lambda mean, *_: whole_weights(mean)
    print("\n| shards of 500 samples | error without momentum, % |\n|---|---|")
    with cluster(1, processes=False) as client:
        for n_shards in (4, 8, 16):
            learned = fit_shards(
                net, *collections(x, y), n_shards=n_shards, epochs=EPOCHS, client=client
            )
            print(f"| {n_shards} | {error(learned, *test):.2f} |", flush=True)
    shards.next_start = kept


# --- two processes against one -------------------------------------------------------------------


def contestants():
    """Yield name, network and samples."""
    data = data_for_benchmark()
    yield "dense, 0.8 MB", network(data, (200, 200), seed=0), data
    shape = (*data.image_shape, 1)
    layers = (Conv2D(16, 5, stride=2), Conv2D(32, 5, stride=2), Dense(data.n_classes))
    net = SpikingNetwork(shape, layers, input_scale=data.input_scale, seed=0)
    yield "convolutions", net, data


def processes(turns=5):
    """Print the time of an epoch of two workers over that of one, in turns."""
    columns = "two workers, s | one, s | two / one | simulator, s | two / simulator"
    print(f"\n| network | samples a round | {columns} |")
    print("|---|---|---|---|---|---|---|")
    for name, net, data in contestants():
        n = 8000
        x, y = data.x_train[:n], data.y_train[:n]
        with cluster(1) as one, cluster(2) as two:
            samples = {}
            for client in (one, two):
                with client.as_current():
                    samples[client] = [client.persist(c) for c in collections(x, y, 2000)]
            for n_samples in (100, 500, 2000):
                times = []
                for turn in range(turns + 1):
                    of_turn = []
                    for client, n_shards in ((two, 2), (one, 1)):
                        start = time.perf_counter()
                        fit_shards(
                            net,
                            *samples[client],
                            client=client,
                            n_shards=n_shards,
                            samples_per_round=n_samples,
                        )
                        of_turn.append(time.perf_counter() - start)
                    start = time.perf_counter()
                    Simulator(net).train(x, y)
                    of_turn.append(time.perf_counter() - start)
                    if turn:  # the first one warms up
                        times.append(of_turn)
                two_s, one_s, alone = np.median(times, axis=0)
                of_one, of_alone = (
                    np.median([turn[0] / turn[i] for turn in times]) for i in (1, 2)
                )
                print(f"| {name} | {n_samples} | {two_s:.2f} | {one_s:.2f} | {of_one:.2f} ", end="")
                print(f"| {alone:.2f} | {of_alone:.2f} |", flush=True)


# --- parts ---------------------------------------------------------------------------------------


def echoed(content):
    return content


def timed(call, turns=9):
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def time_of_round(client, n_shards):
    """Return the time of a round of a tiny network."""
    net, n = SpikingMLP((2, 2, 2), seed=0), 20 * n_shards
    samples = collections(np.zeros((n, 2)), np.zeros(n, int), n // 2)

    def learn(samples_per_round):
        settings = {"n_shards": n_shards, "samples_per_round": samples_per_round}
        return lambda: fit_shards(net, *samples, client=client, **settings)

    return (timed(learn(1), 3) - timed(learn(20), 3)) / 19


def parts():
    """Print the measured parts of a round, and what follows for many workers."""
    of_sample = {}
    for name, net, data in contestants():
        simulator, x, y = Simulator(net), data.x_train[:2000], data.y_train[:2000]
        of_sample[name] = timed(lambda s=simulator, x=x, y=y: s.train(x, y)) / 2000
    with cluster(2) as client:
        sending = {}
        for megabytes in (1, 100):
            content = np.random.RandomState(0).bytes(megabytes * 1_000_000)

            def send(content=content):
                client.submit(echoed, content, pure=False).result()

            with dask_without_warnings():
                sending[megabytes] = timed(send)
        of_round = {n_shards: time_of_round(client, n_shards) for n_shards in (2, 128)}
    print("\n| part | time |\n|---|---|")
    for name, seconds in of_sample.items():
        print(f"| a sample, {name} | {1e6 * seconds:.0f} µs |")
    for megabytes, seconds in sending.items():
        print(f"| {megabytes} MB to a worker and back | {1e3 * seconds:.0f} ms |")
    for n_shards, seconds in of_round.items():
        print(
            f"| a round of {n_shards} shards that learn next to nothing | {1e3 * seconds:.0f} ms |"
        )
    predicted(of_sample, sending, of_round)


def dask_without_warnings():
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"})


def times_sent(n):
    """Return how many times the weights are sent in a round of n workers, one behind the other.

    They go from the client to the scheduler, from there to a worker, and from worker to worker, of
    which twice as many have them each time. A worker gets eight sums, in numbers of twice the size,
    and so on up to the last, whose mean goes to the client by way of the scheduler.
    """
    times = 2 + np.ceil(np.log2(n)) + 2
    while n > 1:
        times += 2 * min(n, 8)
        n = -(-n // 8)
    return times


def predicted(of_sample, sending, of_round):
    """Print how many times as fast workers learn, each a shard, as one process."""
    per_megabyte = (sending[100] - sending[1]) / 99 / 2  # one way
    print("\n| network | samples a round | 2 workers | 16 | 256 |\n|---|---|---|---|---|")
    of_shard = (of_round[128] - of_round[2]) / 126
    networks = {name: (seconds, 0.8) for name, seconds in of_sample.items()}
    networks["100 MB, 10 ms a sample"] = 0.01, 100
    for name, (seconds, megabytes) in networks.items():
        for n_samples in (100, 500, 2000):
            gains = []
            for n in (2, 16, 256):
                overhead = (
                    of_round[2] + (n - 2) * of_shard + times_sent(n) * megabytes * per_megabyte
                )
                gains.append(n * n_samples * seconds / (n_samples * seconds + overhead))
            print(f"| {name} | {n_samples} | " + " | ".join(f"{g:.1f}" for g in gains) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="errors,mean,processes,parts")
    parser.add_argument("--shards", default=SHARDS, help="shards and samples a round, for errors")
    options = parser.parse_args()
    tried = [tuple(map(int, pair.split("x"))) for pair in options.shards.split(",")]
    calls = {
        "errors": lambda: errors(tried),
        "mean": mean_alone,
        "processes": processes,
        "parts": parts,
    }
    for part in options.parts.split(","):
        calls[part]()


# Workers are processes that import this script.
if __name__ == "__main__":
    main()
