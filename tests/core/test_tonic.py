"""Data sets of tonic, where it is installed, are taken as they are."""

import numpy as np
import pytest

from spikebp_plugins import EVENT_DTYPE, EventEncoder
from spikebp_plugins.data.aer import load_nmnist, read_aer
from tests.aer import write_aer

tonic = pytest.importorskip("tonic", reason="tonic is not installed")


class NMNIST(tonic.datasets.NMNIST):
    """N-MNIST of the recordings that are there; the original wants all of them."""

    def _check_exists(self):
        return True


@pytest.fixture
def folder(tmp_path):
    random = np.random.RandomState(0)
    for digit in range(3):
        place = tmp_path / "NMNIST" / "Train" / str(digit)
        place.mkdir(parents=True)
        for n in range(2):
            events = np.zeros(50, EVENT_DTYPE)
            events["x"], events["y"] = random.randint(0, 34, (2, 50))
            events["t"], events["p"] = np.sort(random.randint(0, 999, 50)), random.randint(0, 2, 50)
            write_aer(place / f"{n:05}.bin", events)
    return tmp_path


def test_a_data_set_of_tonic_gives_the_batches_of_its_recordings(folder):
    dataset = NMNIST(str(folder))
    recordings = load_nmnist(folder / "NMNIST")
    width, height, _ = dataset.sensor_size
    encoder = EventEncoder(width, height, step=100)
    pairs = zip(
        encoder.batches(dataset, n_steps=10, size=4),
        encoder.batches(recordings, n_steps=10, size=4),
        strict=True,
    )
    for (x, y), (expected_x, expected_y) in pairs:
        assert (x == expected_x).all()
        assert (y == expected_y).all()
        assert x.sum() == 50 * len(x)


def test_files_are_read_as_tonic_reads_them(tmp_path):
    rows = np.random.RandomState(1).randint(0, 256, (200, 5)).astype(np.uint8)
    rows[::17, 1] = 240  # the counter of time runs over
    file = tmp_path / "any.bin"
    file.write_bytes(rows.tobytes())
    theirs, ours = tonic.io.read_mnist_file(file, NMNIST.dtype), read_aer(file)
    assert len(ours) < 200
    for name in ("x", "y", "t", "p"):
        assert (theirs[name] == ours[name]).all()


def test_a_davis346_is_read_as_tonic_reads_it(tmp_path):
    random, file = np.random.RandomState(1), tmp_path / "any.aedat"
    x, y, p = random.randint(0, 346, 200), random.randint(0, 260, 200), random.randint(0, 2, 200)
    numbers = np.column_stack([x << 12 | y << 22 | p << 11, np.sort(random.randint(0, 9999, 200))])
    header = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"
    file.write_bytes(header + numbers.astype(">u4").tobytes())
    (*_, theirs), ours = tonic.io.read_davis_346(str(file)), read_aer(file)
    for name in ("x", "y", "t", "p"):
        assert (theirs[name] == ours[name]).all()
