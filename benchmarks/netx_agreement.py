"""How often a network and its file of netx, run by lava-dl, name the same class.

A network learns digits at T = 10. Its file is read by lava-dl's netx, which runs it in Lava, and
shown the spikes of the network's layer 0 for the test images, for T steps. A class is the output
unit with the most spikes::

    python benchmarks/netx_agreement.py
    python benchmarks/netx_agreement.py --readers rules --steps 10 --json

``rules`` is no tool, but what docs/lava_dl.md says of netx, written out here; netx must send the
same spikes. netx is left out where lava-dl is not installed.
"""

import argparse
import json
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
from measuring import hidden_sizes

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.lava_dl import ApproximationWarning, save_netx


def rules(path, shown):
    """Integrate weights; above the threshold fire once, and start again from 0."""
    with h5py.File(path) as file:
        layers = [file[f"layer/{index}"] for index in range(len(file["layer"]))]
        weights = [layer["weight"][()].astype(np.int64) for layer in layers]
        thresholds = [layer["neuron/vThMant"][()] for layer in layers]
    potentials = [np.zeros((len(shown), len(matrix)), np.int64) for matrix in weights]
    sent = []
    for spikes in np.moveaxis(shown, 1, 0):
        for potential, matrix, threshold in zip(potentials, weights, thresholds, strict=True):
            potential += spikes @ matrix.T
            spikes = (potential > threshold).astype(np.int64)
            potential[spikes > 0] = 0
        sent.append(spikes)
    return np.moveaxis(np.array(sent), 0, 1)


def netx(path, shown):
    """Run the network of lava-dl, one sample after the other."""
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    n_samples, n_steps, _ = shown.shape
    network = hdf5.Network(str(path), input_message_bits=8, reset_interval=n_steps, reset_offset=1)
    n_layers = len(network)
    rows = np.pad(np.concatenate(shown), ((0, n_layers), (0, 0)))
    source = io.source.RingBuffer(data=rows.T)
    sink = io.sink.RingBuffer(shape=network.out.shape, buffer=len(rows))
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    try:
        configuration = Loihi2SimCfg(select_tag="fixed_pt")
        network.run(condition=RunSteps(num_steps=len(rows)), run_cfg=configuration)
        sent = sink.data.get().T.astype(np.int64)
    finally:
        network.stop()
    # Each layer adds a step.
    return sent[n_layers:].reshape(n_samples, n_steps, -1)


READERS = {"rules": rules, "netx": netx}


def installed(reader):
    return reader == "rules" or (find_spec("torch") and find_spec("lava.lib.dl")) is not None


def measure(data, hidden, n_epochs, steps, readers):
    net = SpikingMLP.paper((data.x_train.shape[1], *hidden, data.n_classes), learning_rate=0.05)
    with Simulator(net) as sim, tempfile.TemporaryDirectory() as folder:
        for _ in range(n_epochs):
            sim.train(data.x_train, data.y_train)
        path = Path(folder) / "digits.net"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ApproximationWarning)
            save_netx(path, sim.checkpoint())
        rows = []
        for T in steps:
            trace = sim.predict(data.x_test, n_steps=T, record=True)
            rows += [{"n_steps": T, **row} for row in compared(data, trace, path, readers)]
        return rows


def compared(data, trace, path, readers):
    classes = trace.scores.argmax(axis=1)
    shown = trace.spikes[0].astype(np.int64)
    expected = rules(path, shown)
    for reader in readers:
        sent = READERS[reader](path, shown)
        found = sent.sum(axis=1).argmax(axis=1)
        yield {
            "reader": reader,
            "same_spikes": bool(np.array_equal(sent, expected)),
            "agreement": float((found == classes).mean()),
            "reader_accuracy": float((found == data.y_test).mean()),
            "own_accuracy": float((classes == data.y_test).mean()),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="100,100", help="hidden layer sizes")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    readers = [reader for reader in options.readers if installed(reader)]
    data = load_dataset("digits")
    rows = measure(data, hidden_sizes(options.layers), options.epochs, options.steps, readers)
    left_out = sorted(set(options.readers) - set(readers))
    if options.json:
        print(json.dumps({"rows": rows, "left_out": left_out}))
        return
    print("| read by | T | same spikes | same class, % | its accuracy, % | accuracy here, % |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        shares = [row[name] for name in ("agreement", "reader_accuracy", "own_accuracy")]
        same = "all" if row["same_spikes"] else "NOT ALL"
        cells = (row["reader"], row["n_steps"], same, *(f"{100 * share:.1f}" for share in shares))
        print(f"| {' | '.join(map(str, cells))} |")
    if left_out:
        print(f"\nnot installed: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
