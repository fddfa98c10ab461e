"""Layers in one word each: what the words mean, and which are refused."""

import doctest
import re

import pytest

from spikebp_plugins import AveragePool2D, Conv2D, Dense, Sparse
from spikebp_plugins.network.connections import notation
from spikebp_plugins.network.connections.notation import layers_of


def test_words_stand_for_layers():
    text = "conv16k5, conv16k5s2,conv3k2p1 ,conv16k5s2p1,pool2,dense100,sparse100d0.1,sparse7d1"
    layers = (
        Conv2D(16, 5),
        Conv2D(16, 5, stride=2),
        Conv2D(3, 2, padding=1),
        Conv2D(16, 5, stride=2, padding=1),
        AveragePool2D(2),
        Dense(100),
        Sparse(100, density=0.1),
        Sparse(7, density=1),
    )
    assert layers_of("connections", text) == layers
    assert layers_of("connections", list(layers)) == layers
    assert layers_of("connections", " ") == layers_of("connections", []) == ()
    assert doctest.testmod(notation).failed == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "conv16",
            "connections must be words such as conv16k5, .*, separated by commas; got 'conv1",
        ),
        ("conv16k5,,pool2", "connections must be words .*; got ''"),
        ("conv16k5p1s2", "connections must be words .*; got 'conv16k5p1s2'"),
        ("conv١k5", "connections must be words .*; got 'conv١k5'"),
        ("sparse100", "connections must be words .*; got 'sparse100'"),
        (
            "pool2,conv16k0",
            "'conv16k0' in connections: kernel_size must be an integer of at",
        ),
        ("conv16k5s0", "'conv16k5s0' in connections: stride must be"),
        ("sparse9d1.5", "in connections: density must be above 0 and at most 1; got 1.5"),
        ([16], "connections must be a sequence of layers such as Conv2D(16, 5), or words such as "),
        (Conv2D(16, 5), "connections must be a sequence of layers such as Conv2D(16, 5), or words"),
    ],
)
def test_other_words_are_refused(value, message):
    with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
        layers_of("connections", value)
