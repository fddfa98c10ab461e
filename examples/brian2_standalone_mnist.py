"""MNIST learned by compiled programs: Brian2's cpp_standalone.

First the back end: a program is compiled for the structure of a network, and then trains, tests and
trains again. It is kept in the user's cache folder, so that later starts have it at once. Then a
script of one's own, built by ``device.build`` in a temporary folder, which takes more images, and
half the rate, without being built again. Prints times and errors. Compiling takes 10 to 20 seconds,
twice, and an epoch of MNIST half a minute; for a quick look::

    python examples/brian2_standalone_mnist.py --samples 2000
    python examples/brian2_standalone_mnist.py --dataset digits
"""

import argparse
import tempfile
from time import perf_counter

import numpy as np
from brian2 import Network, SpikeMonitor, device, set_device

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator, SpikingMLP, load_dataset

#: Images that the second part learns from at first.
FEW = 100


def with_the_back_end(net, x, y, x_test, y_test):
    begin = perf_counter()
    with Simulator(net, backend="brian2", target="cpp_standalone") as sim:
        sim.predict(x[:1])  # builds the program, or finds it
        print(f"back end: ready after {perf_counter() - begin:.1f} s")
        for epoch in (1, 2):
            begin = perf_counter()
            sim.train(x, y)
            seconds = perf_counter() - begin
            wrong = 100 * np.mean(sim.predict(x_test).argmax(axis=1) != y_test)
            took = f"epoch {epoch} of {len(x)} images took {seconds:.1f} s"
            print(f"back end: {took}, test error {wrong:.2f} %")


def in_a_script(net, x, y):
    set_device("cpp_standalone", build_on_run=False)
    mlp = SpikingMLPGroup(net)  # a step is one dt unless `step` says something else
    hidden = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
    Network(mlp, hidden).run(mlp.present(x[:FEW], y[:FEW]))
    expected = Simulator(net)  # the compiled back end of the core
    expected.train(x[:FEW], y[:FEW])
    with tempfile.TemporaryDirectory() as folder:
        begin = perf_counter()
        device.build(directory=folder)
        print(f"script: built and run in {perf_counter() - begin:.1f} s")
        print(f"script: {sum(hidden.spike_count):.0f} spikes in layer 1 for {FEW} images")
        begin = perf_counter()
        mlp.learning_rate /= 2
        mlp.present(x, y)  # other images, and more of them: nothing is compiled again
        device.run(run_args=mlp.run_args())
        print(f"script: {len(x)} more in {perf_counter() - begin:.1f} s, at half the rate")
        # Results are read from the folder, so they are read before the folder is removed.
        checkpoint = mlp.checkpoint()
    with expected.checkpoint().at_rate(mlp.learning_rate).simulate() as sim:
        sim.train(x, y)
        equal = all(map(np.array_equal, checkpoint.state.weights, sim.weights))
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
    in_a_script(net, x[:1000], y[:1000])


if __name__ == "__main__":
    main()
