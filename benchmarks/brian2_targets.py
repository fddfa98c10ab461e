"""Learning in Brian2, on each target, compared with a network written by hand that only predicts.

Both networks have the same layers and trained weights and are shown the same samples, in
alternating blocks of one process. The rival is what one would write in Brian2 without learning: a
NeuronGroup for each layer, a Synapses for each pair of layers, and the same quantizers::

    python benchmarks/brian2_targets.py
    python benchmarks/brian2_targets.py --targets cpp_standalone --samples 10000
    python benchmarks/brian2_targets.py --cold        # compile everything anew, in empty caches
    python benchmarks/brian2_targets.py --dts-per-step 50

The last shows the same samples to two networks in a script, one with a step of so many dt and one
with a step of one dt, and prints the ratio.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial

import brian2
import numpy as np
from brian2 import Clock, Network, NeuronGroup, Synapses, TimedArray, device, ms, prefs, set_device
from measuring import data_for_benchmark, hidden_sizes, network

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import Simulator

#: For each target, how many samples a block has, and how many blocks there are.
BLOCKS = {"numpy": (200, 4), "cython": (400, 4), "cpp_standalone": (4000, 3)}


def forward_only(net, weights, x):
    """A network of spiking units that predicts, as a Brian2 user would write it."""
    shown = TimedArray(x * net.input_factor, dt=net.n_steps * ms)
    clock = brian2.Clock(dt=1 * ms)
    layers, synapses = [], []
    for l, size in enumerate(net.layer_sizes):
        layer = NeuronGroup(
            size,
            "potential : 1\nspike_count : 1",
            events={"spike": "spike_count != 0"},
            clock=clock,
            namespace={"shown": shown, "n_steps": net.n_steps},
        )
        keep = "potential *= int(t_in_timesteps % n_steps != 0)\n"
        fire = "spike_count = sign(potential)*ceil(abs(potential) - 0.5)"
        receive = f"{keep}potential += shown(t, i)\n{fire}"
        code = receive if l == 0 else f"{fire}*int(potential > 0)"
        layer.run_regularly(f"{code}\npotential -= spike_count", when="thresholds", order=4 * l)
        layer.set_event_schedule("spike", "thresholds", 4 * l + 1)
        if l > 0:
            layer.run_regularly(keep, when="thresholds", order=0)
            synapse = Synapses(
                layers[-1],
                layer,
                "w : 1",
                on_pre="potential_post += w*spike_count_pre",
                delay=0 * ms,
                clock=clock,
            )
            synapse.pre.when, synapse.pre.order = "thresholds", 4 * l - 1
            synapse.connect()
            synapse.w = weights[l - 1].ravel()
            synapses.append(synapse)
        layers.append(layer)
    return Network(*layers, *synapses)


def measure(net, weights, x, y, target, block, n_blocks):
    begin = time.perf_counter()
    sim = Simulator(net, "brian2", weights, target=target)
    sim.train(x[:1], y[:1])
    start_up = time.perf_counter() - begin
    if target == "cpp_standalone":
        folder = tempfile.TemporaryDirectory()
        set_device("cpp_standalone", build_on_run=False)
        rival = forward_only(net, weights, x[:block])
        rival.run(block * net.n_steps * ms, namespace={})
        device.build(directory=folder.name, run=False)
        show_rival = device.run
    else:
        prefs.codegen.target = target
        rival = forward_only(net, weights, x)
        rival.run(net.n_steps * ms, namespace={})

        def show_rival():
            rival.run(block * net.n_steps * ms, namespace={})

    learning, predicting = [], []
    for i in range(n_blocks):
        part = slice(1 + i * block, 1 + (i + 1) * block)
        turns = ((learning, partial(sim.train, x[part], y[part])), (predicting, show_rival))
        for times, show in turns:
            begin = time.perf_counter()
            show()
            times.append((time.perf_counter() - begin) / block)
    if target == "cpp_standalone":
        brian2.device.reinit()
        set_device("runtime")
        folder.cleanup()
    sim.close()
    return {
        "target": target,
        "start_up_seconds": start_up,
        "milliseconds_per_sample": 1e3 * statistics.median(learning),
        "forward_only_milliseconds_per_sample": 1e3 * statistics.median(predicting),
        "ratio": statistics.median(np.divide(learning, predicting)),
    }


def measure_steps(net, weights, x, y, target, block, n_blocks, dts_per_step):
    """Time the same samples with steps of one dt and of several, in alternating blocks."""
    prefs.codegen.target = target
    dt = 0.1 * ms
    networks = [
        SpikingMLPGroup(net, weights, step=n * dt, clock=None if n > 1 else Clock(dt=dt))
        for n in (1, dts_per_step)
    ]
    scripts = [Network(mlp) for mlp in networks]
    times = [[], []]
    for i in range(-1, n_blocks):
        part = slice((i + 1) * block, (i + 2) * block)
        for mlp, script, taken in zip(networks, scripts, times, strict=True):
            duration = mlp.present(x[part], y[part])
            begin = time.perf_counter()
            script.run(duration, namespace={})
            if i >= 0:  # the first block compiles
                taken.append((time.perf_counter() - begin) / block)
    for one, other in zip(networks[0].weights, networks[1].weights, strict=True):
        assert np.array_equal(one, other)
    one, several = (1e3 * statistics.median(taken) for taken in times)
    return {
        "target": target,
        "milliseconds_per_sample_with_one_dt_per_step": one,
        "milliseconds_per_sample": several,
        "ratio": statistics.median(np.divide(times[1], times[0])),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--targets", default="numpy,cython,cpp_standalone")
    parser.add_argument("--samples", type=int, help="samples in a block")
    parser.add_argument("--trained-on", type=int, default=20_000, help="samples learned before")
    parser.add_argument("--dts-per-step", type=int, help="time steps of so many dt instead")
    parser.add_argument("--cold", action="store_true", help="use empty caches")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = data_for_benchmark()
    net = network(data, hidden_sizes(options.layers))
    with Simulator(net) as sim:
        sim.train(data.x_train[: options.trained_on], data.y_train[: options.trained_on])
        weights = sim.weights
    with tempfile.TemporaryDirectory() as caches:
        if options.cold:
            os.environ["XDG_CACHE_HOME"] = caches
            prefs.codegen.runtime.cython.cache_dir = caches
        rows = []
        for target in options.targets.split(","):
            block, n_blocks = BLOCKS[target]
            block = min(options.samples or block, len(data.x_train) // n_blocks - 1)
            given = (net, weights, data.x_train, data.y_train, target, block, n_blocks)
            if options.dts_per_step is None:
                rows.append(measure(*given))
            elif target != "cpp_standalone":
                rows.append(measure_steps(*given, options.dts_per_step))
    if options.json:
        print(json.dumps({"dataset": data.name, "layers": net.layer_sizes, "rows": rows}))
        return
    sizes = "-".join(map(str, net.layer_sizes))
    print(f"\nLearning {data.name} in Brian2 {brian2.__version__}, {sizes}, T = {net.n_steps}\n")
    if options.dts_per_step is not None:
        print("| target | a dt per step, ms per sample | several, ms per sample | ratio |")
        print("|---|---|---|---|")
        for row in rows:
            one = row["milliseconds_per_sample_with_one_dt_per_step"]
            several = row["milliseconds_per_sample"]
            print(f"| {row['target']} | {one:.2f} | {several:.2f} | {row['ratio']:.2f} |")
        return
    print("| target | start-up, s | learning, ms per sample | only predicting, ms | ratio |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['target']} | {row['start_up_seconds']:.1f} | "
            f"{row['milliseconds_per_sample']:.2f} | "
            f"{row['forward_only_milliseconds_per_sample']:.2f} | {row['ratio']:.2f} |"
        )


if __name__ == "__main__":
    main()
