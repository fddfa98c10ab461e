"""Streams and events for networks of images: each pixel in its place."""

import numpy as np
import pytest

from spikebp_plugins import (
    EVENT_DTYPE,
    Conv2D,
    Dense,
    EventEncoder,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
)
from tests.core.small_nets import ENGINES

ENCODER = EventEncoder(width=6, height=5, step=10)
FIELDS = {"n_steps": 4, "learning_rate": 0.3, "input_coding": "spikes", "seed": 2}
LAYERS = [Conv2D(3, 3, stride=2), Dense(2)]
CAMERA = SpikingNetwork.paper(
    ENCODER.input_shape, LAYERS, input_layout=ENCODER.input_layout, **FIELDS
)


def recording(seed):
    random = np.random.RandomState(seed)
    t = np.sort(random.randint(0, 40, 150))
    columns = random.randint(0, 6, 150), random.randint(0, 5, 150), t, random.randint(0, 2, 150)
    return np.array(list(zip(*columns, strict=True)), EVENT_DTYPE)


def weights_of(net):
    random = np.random.RandomState(1)
    return [random.normal(0, 0.4, shape) for shape in net.weight_shapes]


def test_a_network_of_a_camera_sees_each_event_at_its_place():
    assert (ENCODER.input_shape, ENCODER.input_layout) == ((5, 6, 2), "channels_first")
    weights, events, labels = weights_of(CAMERA), [recording(i) for i in range(3)], [0, 1, 1]
    # By hand: pixels of rows and columns, whose two channels stand together.
    seen = np.zeros((3, 4, 5, 6, 2), np.int64)
    for i, of_sample in enumerate(events):
        for x, y, t, p in of_sample.tolist():
            seen[i, t // 10, y, x, p] += 1
    by_hand = Simulator(CAMERA.replace(input_layout="channels_last"), "reference", weights)
    scores = by_hand.train(seen, labels)
    assert not np.array_equal(by_hand.weights[0], weights[0])
    encoded = Simulator(CAMERA, "reference", weights)
    counts = np.array([ENCODER.encode(of_sample, 4, start=0) for of_sample in events])
    np.testing.assert_array_equal(encoded.train(counts, labels), scores)
    streamed = Simulator(CAMERA, "reference", weights)
    stream = streamed.stream(ENCODER)
    for of_sample, label, score in zip(events, labels, scores, strict=True):
        stream.feed(of_sample, target=label, start=0)
        stream.advance_to(40)
        np.testing.assert_array_equal(stream.close_sample(), score)
    for sim in (encoded, streamed):
        assert all(map(np.array_equal, sim.weights, by_hand.weights))


@pytest.mark.parametrize(
    ("changes", "encoder", "message"),
    [
        (
            {"input_layout": "channels_last"},
            ENCODER,
            r"encoder must be an encoder for input_shape=\(5, 6, 2\) and input_layout='channels_la",
        ),
        (
            {},
            EventEncoder(width=5, height=6, step=10),
            r"got one for input_shape=\(6, 5, 2\) and input_layout='channels_first'",
        ),
        (
            {"input_shape": (10, 6)},
            ENCODER,
            r"an encoder for input_shape=\(10, 6\) and .*got one for input_shape=\(5, 6, 2\)",
        ),
    ],
)
def test_pixels_that_would_be_others_are_refused(changes, encoder, message):
    sim = Simulator(CAMERA.replace(**changes), "reference")
    with pytest.raises(ValueError, match=message):
        sim.stream(encoder)


def test_an_encoder_of_one_plane_fits_any_layout():
    encoder = EventEncoder(width=6, height=5, step=10, polarity="signs")
    assert encoder.input_shape == (5, 6)
    for shape in ((5, 6), (5, 6, 1)):
        for layout in ("channels_first", "channels_last"):
            net = SpikingNetwork.paper(shape, LAYERS, input_layout=layout, **FIELDS)
            Simulator(net, "reference").stream(encoder)
    # In a plain vector no unit is the neighbour of another.
    Simulator(SpikingMLP.paper((60, 2), input_coding="spikes"), "reference").stream(ENCODER)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_takes_images(engine):
    net = SpikingNetwork.paper((4, 3), [Dense(5), Dense(2)], n_steps=4, learning_rate=0.3)
    x = np.random.RandomState(0).uniform(0, 2, (6, 4, 3))
    flat, shaped = (Simulator(net, engine, weights_of(net)) for _ in range(2))
    one, two = flat.stream(n_steps=4), shaped.stream(n_steps=4)
    for image in x:
        for n_steps in (4, 1, 3):
            shown = one.show(image.reshape(-1), target=1, n_steps=n_steps)
            np.testing.assert_array_equal(two.show(image, target=1, n_steps=n_steps), shown)
    np.testing.assert_array_equal(shaped.train(x[:1], [0]), flat.train(x[:1].reshape(1, -1), [0]))
    np.testing.assert_array_equal(shaped.predict(x[:1]), flat.predict(x[:1].reshape(1, -1)))
    assert all(map(np.array_equal, shaped.weights, flat.weights))
    with pytest.raises(ValueError, match=r"x must be of shape \(12,\) or \(4, 3\); got shape \(3,"):
        two.show(x[0].T)
