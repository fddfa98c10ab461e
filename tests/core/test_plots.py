"""Pictures of kernels and of layers as images: each number in its place."""

import numpy as np
import pytest

from spikebp_plugins import AveragePool2D, Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork
from spikebp_plugins.simulation.plots import plot_activity, plot_kernels, save_picture

NET = SpikingNetwork.paper((5, 6, 2), [Conv2D(3, 2), AveragePool2D(2), Dense(4)], n_steps=4)


@pytest.fixture(scope="module")
def shown():
    x = np.random.RandomState(0).uniform(-2, 4, (3, 5, 6, 2))
    with Simulator(NET, "reference") as sim:
        return sim.checkpoint(), x, sim.predict(x, record=True)


@pytest.fixture
def axes():
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def drawn(axes):
    [image] = axes.images
    low, high = image.get_clim()
    assert low == -high < 0  # zero has the colour in the middle
    return np.ma.filled(image.get_array(), np.nan)


def test_kernels_are_a_table_of_channels(axes, shown):
    checkpoint, _, _ = shown
    plot_kernels(axes, checkpoint)
    picture, W = drawn(axes), checkpoint.state.weights[0]
    assert picture.shape == (2 * 3 - 1, 3 * 3 - 1)
    for a in range(2):
        for b in range(3):
            np.testing.assert_array_equal(
                picture[3 * a : 3 * a + 2, 3 * b : 3 * b + 2], W[:, :, a, b]
            )
    assert np.isnan(picture[2]).all()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("channels of layer 1", "channels of layer 0")


def test_a_layer_is_an_image_for_each_channel(axes, shown):
    _, _, trace = shown
    plot_activity(axes, trace, NET, layer=1, sample=2)
    picture = drawn(axes)
    means = trace.spikes[1][2].mean(axis=0).reshape(4, 5, 3)
    for channel, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        part = picture[5 * row : 5 * row + 4, 6 * column : 6 * column + 5]
        np.testing.assert_array_equal(part, means[:, :, channel])
    assert np.isnan(picture[5:, 6:]).all()


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_the_input_is_the_image_that_came(axes, shown, layout):
    _, x, _ = shown
    net = NET.replace(input_layout=layout)
    given = x if layout == "channels_last" else x.transpose(0, 3, 1, 2)
    with Simulator(net, "reference") as sim:
        trace = sim.predict(np.rint(given), record=True)
    plot_activity(axes, trace, net, sample=1)
    picture = drawn(axes)
    np.testing.assert_array_equal(picture[:, :6], np.rint(x[1, :, :, 0]))
    np.testing.assert_array_equal(picture[:, 7:], np.rint(x[1, :, :, 1]))


def test_a_silent_layer_and_one_channel_are_drawn(axes, tmp_path):
    net = SpikingNetwork.paper((3, 4), [Dense(2)])
    with Simulator(net, "reference") as sim:
        trace = sim.predict(np.zeros((1, 3, 4)), record=True)
    plot_activity(axes, trace, net)
    np.testing.assert_array_equal(drawn(axes), np.zeros((3, 4)))
    save_picture(tmp_path / "a.png", lambda figure: plot_activity(figure.subplots(), trace, net))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_image_is_refused(axes, shown):
    checkpoint, _, trace = shown
    for draw, message in (
        (
            lambda: plot_kernels(axes, checkpoint, 2),
            "layer must be a layer of Conv2D; got 2, one of AveragePool2D",
        ),
        (lambda: plot_kernels(axes, checkpoint, 4), "layer must be an integer from 1 to 3; got 4"),
        (
            lambda: plot_activity(axes, trace, NET, 3),
            r"layer must be one whose units are an image; got 3, of shape \(4,\)",
        ),
        (
            lambda: plot_activity(axes, trace, SpikingMLP.paper((60, 4))),
            r"trace must be of layers of \(60, 4\) units, as the network has; got one of \(60, 60,",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            draw()
    assert not axes.images
