"""MNIST learned by compiled programs: Brian2's cpp_standalone.

First the back end: a program is generated and compiled for the structure of a network, and then
trains, tests and trains again, with other samples each time. The program is kept in the user's
cache folder, so that later starts of this script have it at once. Then a script of one's own: the
network as a group beside a monitor, built by ``device.build`` in a temporary folder. Prints times
and errors; writes no other file. Compiling takes 20 to 30 seconds, twice, and an epoch of MNIST
half a minute; for a quick look::

    python examples/brian2_standalone_mnist.py --samples 2000
    python examples/brian2_standalone_mnist.py --dataset digits
"""

import argparse
import tempfile
from time import perf_counter

import numpy as np
from brian2 import Network, SpikeMonitor, TimedArray, defaultclock, device, set_device

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP, load_dataset

#: Images that the second part learns from.
FEW = 100


def with_the_back_end(net, x, y, x_test, y_test):
    begin = perf_counter()
    with Simulator(net, backend="brian2", target="cpp_standalone") as sim:
        print(f"back end: ready after {perf_counter() - begin:.1f} s")
        for epoch in (1, 2):
            begin = perf_counter()
            sim.train(x, y)
            seconds = perf_counter() - begin
            wrong = np.mean(sim.predict(x_test).argmax(axis=1) != y_test)
            print(
                f"back end: epoch {epoch} of {len(x)} images took {seconds:.1f} s, "
                f"test error {100 * wrong:.2f} %"
            )


def in_a_script(net, x, y):
    set_device("cpp_standalone", build_on_run=False)
    # A step is one dt unless `step` says something else.
    sample = net.n_steps * defaultclock.dt
    mlp = SpikingMLPGroup(net, input=TimedArray(x, dt=sample), label=TimedArray(y, dt=sample))
    hidden = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
    network = Network(mlp, hidden)
    network.run(len(x) * sample)
    with tempfile.TemporaryDirectory() as folder:
        begin = perf_counter()
        device.build(directory=folder)
        print(f"script: built and run in {perf_counter() - begin:.1f} s")
        # Results are read from the folder, so they are read before the folder is removed.
        checkpoint = mlp.checkpoint()
        spikes = int(np.sum(hidden.spike_count))
    print(f"script: {spikes} spikes in layer 1 for {len(x)} images")
    with Simulator(net) as sim:  # the compiled back end of the core
        sim.train(x, y)
        pairs = zip(checkpoint.state.weights, sim.weights, strict=True)
        equal = all(np.array_equal(found, expected) for found, expected in pairs)
    print(f"script: weights equal to those of the compiled back end: {equal}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist", help="mnist, fashion-mnist or digits")
    parser.add_argument("--samples", type=int, default=None, help="images of an epoch")
    options = parser.parse_args()

    data = load_dataset(options.dataset, raw=True)  # 8 bits a pixel, which input_scale maps to 1
    net = SpikingMLP((data.x_train.shape[1], 300, data.n_classes), input_scale=data.input_scale)
    x, y = data.x_train[: options.samples], data.y_train[: options.samples]
    with_the_back_end(net, x, y, data.x_test, data.y_test)
    in_a_script(net, x[:FEW], y[:FEW])


if __name__ == "__main__":
    main()
