"""Compared with other libraries that learn with spikes: time, error and memory on a processor.

snnTorch, Norse and SpikingJelly train 784-200-200-10 on MNIST by backpropagation through time with
surrogate gradients, with the neurons, loss and optimizer of their tutorials. In all of them pixels
are a current in each of T steps. They are made for batches; this package always learns one sample
at a time. One thread each, and each in a process of its own, which says how much memory learning
took beyond data and imports (Linux). "At our time" is the test error after as many seconds as an
epoch of the default network took in this run; five epochs in batches of one are left out. Needs
snnTorch, Norse, SpikingJelly and PyTorch, and SPIKEBP_DATA::

    SPIKEBP_DATA=... python benchmarks/spiking_peers.py
    SPIKEBP_DATA=... python benchmarks/spiking_peers.py --steps 4 --batches 64 --epochs 1
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import count, pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from measuring import data_for_benchmark

SIZES = (784, 200, 200, 10)
#: Seconds for which samples are timed.
SECONDS = 3.0
#: Test samples shown at a time, of which errors are counted.
SHOWN = 1000


def layers_of(torch, neuron, bias):
    """Return linear layers with a neuron behind each."""
    for n_below, n in pairwise(SIZES):
        yield torch.nn.Linear(n_below, n, bias=bias), neuron()


class SnnTorch:
    """Tutorial 5: leaky neurons that decay by 0.95, cross-entropy of potentials at every step."""

    name, package, rate = "snnTorch", "snntorch", 5e-4

    def __init__(self, torch, n_steps):
        import snntorch

        self.torch, self.n_steps = torch, n_steps
        pairs = list(layers_of(torch, lambda: snntorch.Leaky(beta=0.95), bias=True))
        self.linear = torch.nn.ModuleList(linear for linear, _ in pairs)
        self.neurons = torch.nn.ModuleList(neuron for _, neuron in pairs)
        self.parameters = [*self.linear.parameters()]

    def _run(self, x):
        potentials = [neuron.init_leaky() for neuron in self.neurons]
        for _ in range(self.n_steps):
            spikes = x
            for l, (linear, neuron) in enumerate(zip(self.linear, self.neurons, strict=True)):
                spikes, potentials[l] = neuron(linear(spikes), potentials[l])
            yield spikes, potentials[-1]

    def loss(self, x, y):
        cross_entropy = self.torch.nn.functional.cross_entropy
        return sum(cross_entropy(potential, y) for _, potential in self._run(x))

    def scores(self, x):
        return sum(spikes for spikes, _ in self._run(x))


class Norse:
    """The MNIST notebook: SuperSpike, a leaky integrator at the end, its largest potential."""

    name, package, rate = "Norse", "norse", 2e-3

    def __init__(self, torch, n_steps):
        import norse.torch as norse

        self.torch, self.n_steps = torch, n_steps
        spiking = norse.LIFParameters(alpha=torch.tensor(100.0), v_th=torch.tensor(0.5))
        *hidden, last = layers_of(torch, lambda: norse.LIFCell(p=spiking), bias=False)
        parts = [part for pair in hidden for part in pair]
        self.model = norse.SequentialState(*parts, last[0], norse.LICell())
        self.parameters = [*self.model.parameters()]

    def scores(self, x):
        state, potentials = None, []
        for _ in range(self.n_steps):
            potential, state = self.model(x, state)
            potentials.append(potential)
        return self.torch.stack(potentials).max(dim=0).values

    def loss(self, x, y):
        return self.torch.nn.functional.cross_entropy(self.scores(x), y)


class SpikingJelly:
    """The fully connected example: time constant 2, squared error of firing rates."""

    name, package, rate = "SpikingJelly", "spikingjelly", 1e-3

    def __init__(self, torch, n_steps):
        from spikingjelly.activation_based import functional, neuron, surrogate

        self.torch, self.n_steps, self.reset = torch, n_steps, functional.reset_net
        pairs = layers_of(
            torch, lambda: neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan()), bias=False
        )
        self.model = torch.nn.Sequential(*(part for pair in pairs for part in pair))
        self.parameters = [*self.model.parameters()]

    def scores(self, x):
        self.reset(self.model)
        return sum(self.model(x) for _ in range(self.n_steps)) / self.n_steps

    def loss(self, x, y):
        functional = self.torch.nn.functional
        return functional.mse_loss(self.scores(x), functional.one_hot(y, SIZES[-1]).float())


PEERS = {peer.name: peer for peer in (SnnTorch, Norse, SpikingJelly)}


class TrainedPeer:
    """A peer with Adam, as its tutorial has it, on the data set."""

    def __init__(self, name, n_steps, batch):
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.torch, self.batch = torch, batch
        data = data_for_benchmark()
        self.x, self.x_test = (
            torch.from_numpy((images * data.input_scale).astype(np.float32))
            for images in (data.x_train, data.x_test)
        )
        self.y, self.y_test = torch.from_numpy(data.y_train), data.y_test
        self.peer = PEERS[name](torch, n_steps)
        self.optimizer = torch.optim.Adam(self.peer.parameters, lr=self.peer.rate)
        self.batches = self._batches()

    def _batches(self):
        for epoch in count():
            order = self.torch.from_numpy(np.random.RandomState(epoch).permutation(len(self.x)))
            yield from order.split(self.batch)

    def learn(self):
        """Learn from the next batch, and return its size."""
        rows = next(self.batches)
        self.optimizer.zero_grad()
        self.peer.loss(self.x[rows], self.y[rows]).backward()
        self.optimizer.step()
        return len(rows)

    def predict(self, x):
        with self.torch.no_grad():
            return self.peer.scores(x).argmax(dim=1).numpy()

    def error(self):
        found = np.concatenate([self.predict(x) for x in self.x_test.split(SHOWN)])
        return 100 * float(np.mean(found != self.y_test))


class SpikingNetworkPeer:
    """A network of this package, one sample at a time."""

    def __init__(self, fields):
        from spikebp_plugins import Simulator, SpikingMLP

        data = data_for_benchmark()
        self.x, self.y, self.x_test, self.y_test = (
            getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")
        )
        net = SpikingMLP(SIZES, input_scale=data.input_scale, **fields)
        self.simulator, self.epoch = Simulator(net, n_jobs=1), 0

    def learn(self):
        """Learn from all samples once, and return how many they are."""
        order = np.random.RandomState(self.epoch).permutation(len(self.x))
        self.epoch += 1
        self.simulator.train(self.x[order], self.y[order], progress=False)
        return len(order)

    def predict(self, x):
        return self.simulator.predict(x, progress=False).argmax(axis=1)

    def error(self):
        return 100 * float(np.mean(self.predict(self.x_test) != self.y_test))


def microseconds(work, seconds):
    """Return how long a sample takes, in work that returns how many it has done."""
    begin, done = perf_counter(), 0
    while perf_counter() - begin < seconds:
        done += work()
    return 1e6 * (perf_counter() - begin) / done


class Memory:
    """How much memory this process takes beyond what it takes now, at most; Linux says so."""

    def __init__(self):
        Path("/proc/self/clear_refs").write_text("5")  # the most begins anew
        self.before = self._kilobytes("VmRSS")

    @property
    def megabytes(self):
        return (self._kilobytes("VmHWM") - self.before) / 1024

    def _kilobytes(self, name):
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(name))


def measure_ours(fields, epochs):
    """Return times, errors after one epoch and several, seconds of the first, and memory."""
    learner, memory = SpikingNetworkPeer(fields), Memory()
    begin = perf_counter()
    done = learner.learn()
    taken = perf_counter() - begin
    found = {"training": 1e6 * taken / done, "at_our_time": learner.error(), "seconds": taken}

    def predict_one():
        for i in range(100):
            learner.predict(learner.x_test[i : i + 1])
        return 100

    found["prediction"] = microseconds(lambda: len(learner.predict(learner.x_test)), SECONDS)
    found["prediction, one"] = microseconds(predict_one, SECONDS)
    while learner.epoch < epochs:
        learner.learn()
    return found | {"after": learner.error(), "memory": memory.megabytes}


def measure_peer(name, n_steps, batch, seconds, epochs):
    """Return times, the error after so many seconds and after epochs, and memory."""
    learner, memory = TrainedPeer(name, n_steps, batch), Memory()
    learner.learn()  # the first takes longer
    begin = perf_counter()
    done = 0
    while perf_counter() - begin < seconds:
        done += learner.learn()
    found = {"at_our_time": learner.error()}
    found["training"] = microseconds(learner.learn, SECONDS)
    x = learner.x_test[:batch]
    found["prediction"] = microseconds(lambda: len(learner.predict(x)), SECONDS)
    found |= {"after": None, "memory": memory.megabytes}
    if batch > 1:
        learner, samples = TrainedPeer(name, n_steps, batch), 0
        while samples < epochs * len(learner.x):
            samples += learner.learn()
        found["after"] = learner.error()
    return found


#: What this package runs: the defaults, and more steps with as many spikes in all.
OURS = {
    "spikebp, T = 2 (default)": {},
    "T = 4": {"n_steps": 4, "spikes_per_unit": 2, "label_targets": (3, 18)},
    "T = 8, one spike for 1": {"n_steps": 8, "spikes_per_unit": 1, "label_targets": (1.5, 9)},
}


def alone(function, *arguments):
    """Return what a function returns in a process of its own."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def print_row(name, found):
    numbers = [found["training"], found["prediction"]]
    errors = [found["at_our_time"], found["after"]]
    cells = [f"{number:,.0f}" if number >= 100 else f"{number:.1f}" for number in numbers]
    cells += ["" if error is None else f"{error:.1f}" for error in errors]
    print(f"| {name} | {' | '.join(cells)} | {found['memory']:,.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--steps", default="4,10")
    parser.add_argument("--batches", default="1,64,256")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    versions = {peer: version(PEERS[peer].package) for peer in options.peers.split(",")}
    versions["PyTorch"] = version("torch")
    print("# " + ", ".join(f"{name} {number}" for name, number in versions.items()))
    print(
        "| | µs to learn a sample | to predict | error at our time, % | "
        f"after {options.epochs} epochs | MB |\n|---|---|---|---|---|---|"
    )
    rows = {}
    for name, fields in OURS.items():
        rows[name] = alone(measure_ours, fields, options.epochs)
        print_row(name, rows[name])
        one = rows[name]["prediction, one"]
        print(f"# {name}: a call with one sample predicts in {one:.0f} µs")
    seconds = next(iter(rows.values()))["seconds"]
    for peer in options.peers.split(","):
        for n_steps in map(int, options.steps.split(",")):
            for batch in map(int, options.batches.split(",")):
                name = f"{peer}, T = {n_steps}, batches of {batch}"
                rows[name] = alone(measure_peer, peer, n_steps, batch, seconds, options.epochs)
                print_row(name, rows[name])
    print(f"# our time: {seconds:.2f} s")
    if options.json:
        print(json.dumps({"versions": versions, "rows": rows}))


if __name__ == "__main__":
    main()
