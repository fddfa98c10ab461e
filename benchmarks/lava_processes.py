"""Learning in Lava, compared with graphs of as many empty processes with as many messages.

The back end and the empty graph take turns, block by block, in one process. Each row of the table
is one form of the network: with a message for each step, or for each sample. Then all weights are
read and written, and as many numbers are read from a variable of Lava's own, which takes a message
for each number::

    python benchmarks/lava_processes.py
    python benchmarks/lava_processes.py --same 5000   # are weights those of the compiled back end?
"""

import argparse
import json
import statistics
import time

import numpy as np
from empty_processes.relay import Relay
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from measuring import data_for_benchmark, hidden_sizes, network

from spikebp_lava import SpikingMLPProcess
from spikebp_lava.backend import STEPS_PER_RUN
from spikebp_plugins import Simulator

FORMS = {
    "a message a step": {},
    "a message a sample": {"granularity": "sample"},
}
CONFIGURATION = Loihi2SimCfg(select_tag="fixed_pt")


def empty_line(net):
    """Return the source of an empty graph of source, network and sink."""
    source = Relay(("out_1", net.n_inputs), ("out_2", net.n_outputs))
    line = Relay(("in_1", net.n_inputs), ("in_2", net.n_outputs), ("out_1", net.n_outputs))
    sink = Relay(("in_1", net.n_outputs))
    source.out_1.connect(line.in_1)
    source.out_2.connect(line.in_2)
    line.out_1.connect(sink.in_1)
    return source


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(net, x, y, form, n_blocks):
    """Return a row of the table."""
    options = FORMS[form]
    block = STEPS_PER_RUN // net.n_steps
    messages = RunSteps(num_steps=block if "granularity" in options else block * net.n_steps)
    empty = empty_line(net)
    learning, floor = [], []
    with Simulator(net, "lava", **options) as sim:
        start_up = seconds(lambda: sim.train(x[:block], y[:block]))
        empty.run(condition=messages, run_cfg=CONFIGURATION)
        try:
            for i in range(1, n_blocks + 1):
                part = slice(i * block, (i + 1) * block)
                learning.append(seconds(lambda part=part: sim.train(x[part], y[part])))
                floor.append(seconds(lambda: empty.run(condition=messages)))
        finally:
            empty.stop()
    return {
        "form": form,
        "start_up_seconds": start_up - statistics.median(learning),
        "milliseconds_per_sample": 1e3 * statistics.median(learning) / block,
        "empty_milliseconds_per_sample": 1e3 * statistics.median(floor) / block,
        "ratio": statistics.median(np.divide(learning, floor)),
    }


def measure_variables(net):
    """Return milliseconds to read and write all weights, and to read as many plain numbers."""
    mlp = SpikingMLPProcess(net)
    matrices = [getattr(mlp, f"weight_{l}") for l in range(1, net.n_layers + 1)]
    plain = Relay(("out_1", net.n_inputs), n_values=sum(np.prod(net.weight_shapes, axis=1)))
    plain.out_1.connect(mlp.spikes_in)
    mlp.run(condition=RunSteps(num_steps=1), run_cfg=CONFIGURATION)
    try:
        reading = [seconds(lambda: [matrix.get() for matrix in matrices]) for _ in range(9)]
        values = [matrix.get() for matrix in matrices]
        writing = [
            seconds(lambda: [m.set(v) for m, v in zip(matrices, values, strict=True)])
            for _ in range(9)
        ]
        by_messages = seconds(plain.values.get)
    finally:
        mlp.stop()
    return {
        "reading_milliseconds": 1e3 * statistics.median(reading),
        "writing_milliseconds": 1e3 * statistics.median(writing),
        "plain_variable_milliseconds": 1e3 * by_messages,
    }


def compare_weights(net, x, y, form):
    """Return whether training ends in the weights of the compiled back end."""
    with Simulator(net, "lava", **FORMS[form]) as sim, Simulator(net) as compiled:
        for simulator in (sim, compiled):
            simulator.train(x, y)
        return all(map(np.array_equal, sim.weights, compiled.weights))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--blocks", type=int, default=6, help="blocks of 2000 steps")
    parser.add_argument("--same", type=int, metavar="N", help="train N samples, compare weights")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = data_for_benchmark()
    net = network(data, hidden_sizes(options.layers))
    x, y = data.x_train, data.y_train
    if options.same:
        result = {
            form: compare_weights(net, x[: options.same], y[: options.same], form) for form in FORMS
        }
        for form, same in () if options.json else result.items():
            print(f"{form}: weights after {options.same} samples equal: {same}")
    else:
        result = {
            "rows": [measure(net, x, y, form, options.blocks) for form in FORMS],
            **measure_variables(net),
        }
    if options.json:
        print(json.dumps({"dataset": data.name, "layers": net.layer_sizes, **result}))
    elif not options.same:
        print_tables(data, net, result)


def print_tables(data, net, result):
    sizes = "-".join(map(str, net.layer_sizes))
    print(f"\nLearning {data.name} in Lava, {sizes}, T = {net.n_steps}\n")
    print("| form | start-up, s | learning, ms per sample | empty graph, ms | ratio |")
    print("|---|---|---|---|---|")
    for row in result["rows"]:
        print(
            f"| {row['form']} | {row['start_up_seconds']:.1f} | "
            f"{row['milliseconds_per_sample']:.2f} | "
            f"{row['empty_milliseconds_per_sample']:.2f} | {row['ratio']:.2f} |"
        )
    print(
        f"\nAll weights: {result['reading_milliseconds']:.2f} ms to read, "
        f"{result['writing_milliseconds']:.1f} ms to write; as many numbers in a variable of "
        f"Lava's own: {result['plain_variable_milliseconds']:.0f} ms to read"
    )


if __name__ == "__main__":
    main()
