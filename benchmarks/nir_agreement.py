"""How often a network and its graph of NIR, read and run by other tools, name the same class.

A network learns digits at T = 10. Its graph is written to a file, read again, and shown the test
images for T steps: as pixel values, and as the spikes of the network's layer 0::

    python benchmarks/nir_agreement.py
    python benchmarks/nir_agreement.py --readers norse --steps 10 --json
    python benchmarks/nir_agreement.py --threshold 0.5  # and v_reset = -0.5, not as exported

``equations`` is no tool, but NIR's published equations written out here, one step at a time.
Tools that are not installed are left out.
"""

import argparse
import json
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import nir
import numpy as np
from measuring import hidden_sizes

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.nir import ApproximationWarning, save_nir


def equations(graph, shown):
    """Integrate r I; above the threshold fire once, and reset."""
    followers = dict(graph.edges)
    potentials = {}
    total = 0.0
    for signal in np.moveaxis(shown, 1, 0):
        name = "input"
        while (name := followers[name]) != "output":
            node = graph.nodes[name]
            if isinstance(node, nir.Linear):
                signal = signal @ node.weight.T
            else:
                potential = potentials.get(name, 0.0) + node.r * signal
                fires = potential > node.v_threshold
                potentials[name] = np.where(fires, node.v_reset, potential)
                signal = fires.astype(np.float32)
        total = total + signal
    return total


def norse(graph, shown):
    """Norse: one spike a step, reset to 0."""
    import norse.torch
    import torch

    module = norse.torch.from_nir(graph)
    total, state = 0.0, None
    with torch.no_grad():
        for step in np.moveaxis(shown, 1, 0):
            output, state = module(torch.tensor(step), state)
            total = total + output.numpy()
    return total


def sinabs(graph, shown):
    """Sinabs: several spikes a step, threshold subtracted, potentials clipped below."""
    import sinabs.nir
    import torch

    # Sinabs does not know Linear.
    nodes = {
        name: nir.Affine(node.weight, np.zeros(len(node.weight), np.float32))
        if isinstance(node, nir.Linear)
        else node
        for name, node in graph.nodes.items()
    }
    module = sinabs.nir.from_nir(nir.NIRGraph(nodes, graph.edges), batch_size=len(shown))
    with torch.no_grad():
        output, _ = module(torch.tensor(shown).flatten(0, 1))
    return output.numpy().reshape(*shown.shape[:2], -1).sum(axis=1)


def with_threshold(graph, threshold):
    """Return a graph with another threshold, whose spikes still cost 1."""
    for node in graph.nodes.values():
        if isinstance(node, nir.IF):
            node.v_threshold = np.full_like(node.v_threshold, threshold)
            node.v_reset = node.v_threshold - 1
    return graph


READERS = {"equations": equations, "norse": norse, "sinabs": sinabs}


def installed(reader):
    return reader == "equations" or find_spec(reader) is not None


def measure(data, hidden, n_epochs, steps, threshold, readers):
    net = SpikingMLP.paper((data.x_train.shape[1], *hidden, data.n_classes), learning_rate=0.05)
    with Simulator(net) as sim, tempfile.TemporaryDirectory() as folder:
        for _ in range(n_epochs):
            sim.train(data.x_train, data.y_train)
        path = Path(folder) / "digits.nir"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ApproximationWarning)
            save_nir(path, sim.checkpoint())
        graph = with_threshold(nir.read(path), threshold)
        return [
            {"n_steps": T, **row}
            for T in steps
            for row in compared(
                data, sim.predict(data.x_test, n_steps=T, record=True), graph, readers
            )
        ]


def compared(data, trace, graph, readers):
    classes = trace.scores.argmax(axis=1)
    spikes = trace.spikes[0].astype(np.float32)
    values = np.repeat(data.x_test.astype(np.float32)[:, np.newaxis], spikes.shape[1], axis=1)
    for reader in readers:
        for coding, shown in (("values", values), ("spikes", spikes)):
            with warnings.catch_warnings():
                # The readers' dependencies warn of one another.
                warnings.simplefilter("ignore")
                found = READERS[reader](graph, shown).argmax(axis=1)
            yield {
                "reader": reader,
                "input": coding,
                "agreement": float((found == classes).mean()),
                "reader_accuracy": float((found == data.y_test).mean()),
                "own_accuracy": float((classes == data.y_test).mean()),
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="100,100", help="hidden layer sizes")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--threshold", type=float, default=1.0)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    readers = [reader for reader in options.readers if installed(reader)]
    rows = measure(
        load_dataset("digits"),
        hidden_sizes(options.layers),
        options.epochs,
        options.steps,
        options.threshold,
        readers,
    )
    left_out = sorted(set(options.readers) - set(readers))
    if options.json:
        print(json.dumps({"rows": rows, "left_out": left_out}))
        return
    print("| read by | input | T | same class, % | its accuracy, % | accuracy here, % |")
    print("|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: (readers.index(row["reader"]), row["input"])):
        shares = [row[name] for name in ("agreement", "reader_accuracy", "own_accuracy")]
        cells = (row["reader"], row["input"], row["n_steps"], *(f"{100 * s:.1f}" for s in shares))
        print(f"| {' | '.join(map(str, cells))} |")
    if left_out:
        print(f"\nnot installed: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
