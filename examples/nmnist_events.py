"""Digits of an event camera, learned from their events and then read from a stream.

The recordings of N-MNIST are 0.3 s of events from a sensor of 34 x 34 pixels, which sees a digit
while the sensor makes three small jumps. Events become spike counts of ten steps of 32 ms, on and
off events in planes of their own; the target of the right digit is ten spikes in each step. After
training, unseen recordings come as a stream, event by event, and most are recognized before they
end. Takes a minute, where N-MNIST is on this machine (the folder ``Train`` of its archive)::

    python examples/nmnist_events.py --folder nmnist

With the sizes below, 800 recordings are enough for about 88 % of the others. How the numbers were
chosen, and what a perceptron in scikit-learn reaches, is in docs/streams.md.
"""

import argparse
from time import perf_counter

import numpy as np

from spikebp_plugins import EventEncoder, Simulator, SpikingMLP
from spikebp_plugins.data.aer import load_nmnist

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--folder", help="folder of N-MNIST; $SPIKEBP_DATA/nmnist* without it")
parser.add_argument("--samples", type=int, default=800, help="recordings to learn from")
parser.add_argument("--test-samples", type=int, default=200, help="recordings to test on")
parser.add_argument("--epochs", type=int, default=40, help="how often each is shown")
parser.add_argument("--seed", type=int, default=0, help="of the split, the order and the weights")
options = parser.parse_args()

recordings = load_nmnist(options.folder).shuffled(options.seed)
train = recordings[: options.samples]
test = recordings[options.samples : options.samples + options.test_samples]

encoder = EventEncoder(34, 34, step=32_000)
net = SpikingMLP.paper(
    (encoder.n_inputs, 200, 10),
    n_steps=10,
    learning_rate=0.003,
    input_coding="spikes",
    label_targets=(0, 10),  # spikes a step of the outputs of wrong digits, and of the right one
    seed=options.seed,
)

with Simulator(net) as sim:
    begin = perf_counter()
    for epoch in range(options.epochs):
        order = train.shuffled(options.seed + 1 + epoch)
        for x, y in encoder.batches(order, net.n_steps, size=100):
            sim.train(x, y)
    seconds = perf_counter() - begin
    print(f"learned from {sim.samples_seen} recordings in {seconds:.1f} s")

    x, y = next(encoder.batches(test, net.n_steps, size=len(test)))
    accuracy = 100 * np.mean(sim.predict(x).argmax(axis=1) == y)
    print(f"{accuracy:.1f} % of {len(test)} unseen recordings recognized")

    early = sim.predict(x, margin=40.0)
    accuracy = 100 * np.mean(early.scores.argmax(axis=1) == y)
    print(
        f"{accuracy:.1f} % when each stops as soon as it is sure: {early.n_steps.mean():.1f} steps"
    )

    # The same recordings as a stream: events as they come, a look at the scores at any moment.
    stream = sim.stream(encoder)
    right = 0
    for events, label in test:
        for part in np.array_split(events, 20):
            stream.feed(part)
        right += stream.close_sample().argmax() == label
    print(f"{100 * right / len(test):.1f} % of them recognized from a stream")
