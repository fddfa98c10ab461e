"""Data sets and the IDX reader. Small IDX files are written here; nothing leaves this machine."""

import gc
import gzip
import hashlib
import os
import socket
import struct
import tracemalloc
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from threading import Thread

import numpy as np
import pytest

from spikebp_plugins.data import idx
from spikebp_plugins.data import images as datasets
from spikebp_plugins.data.idx import read_idx
from spikebp_plugins.data.images import DATASET_NAMES, IDX_FILES, SOURCES, Publication, load_dataset

# Read before `environment` hides it from the tests of small files.
DATA_FOLDER = os.environ.get("SPIKEBP_DATA")

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Keep the user's folder, cache and proxies out of the tests."""
    monkeypatch.delenv("SPIKEBP_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)


def idx_bytes(array):
    array = np.asarray(array)
    header = bytes([0, 0, IDX_CODES[array.dtype.str[1:]], array.ndim])
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def small_arrays():
    """Return 7 + 3 images of 3 x 4 pixels with their labels, in the order of IDX_FILES."""
    random = np.random.RandomState(1)
    images = random.randint(0, 256, (10, 3, 4)).astype(np.uint8)
    images[0, 0, :2] = 0, 255
    labels = np.arange(10, dtype=np.uint8)[::-1].copy()
    return [images[:7], labels[:7], images[7:], labels[7:]]


def write_files(folder, arrays=None, *, gz=True, dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in zip(IDX_FILES, arrays or small_arrays(), strict=True):
        name = file.replace("-idx", ".idx") if dotted else file
        content = idx_bytes(array)
        if gz:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)
    return folder


def assert_is_small_data(data, name="mnist"):
    x_train, y_train, x_test, y_test = small_arrays()
    assert data.name == name
    assert data.n_classes == 10
    assert data.image_shape == (3, 4)
    np.testing.assert_array_equal(data.x_train, x_train.reshape(7, 12) * data_scale(data))
    np.testing.assert_array_equal(data.x_test, x_test.reshape(3, 12) * data_scale(data))
    np.testing.assert_array_equal(data.y_train, y_train)
    np.testing.assert_array_equal(data.y_test, y_test)
    assert data.y_train.dtype == data.y_test.dtype == np.int64


def data_scale(data):
    return 1 if data.x_train.dtype == np.uint8 else 1 / 255


# --- IDX files


@pytest.mark.parametrize("element_type", IDX_CODES)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 4), (0, 28, 28)])
def test_read_idx_returns_what_was_written(tmp_path, element_type, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(element_type)
    path = tmp_path / "array"
    path.write_bytes(idx_bytes(array))

    read = read_idx(path)

    np.testing.assert_array_equal(read, array)
    assert read.shape == shape
    assert read.dtype == np.dtype(element_type)
    assert read.dtype.isnative
    assert read.flags.writeable


@pytest.mark.parametrize("name", ["labels", "labels.gz"])
@pytest.mark.parametrize("zipped", [False, True])
def test_read_idx_goes_by_contents_and_not_by_name(tmp_path, name, zipped):
    content = idx_bytes(np.array([3, 1, 4], np.uint8))
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    assert read_idx(str(tmp_path / name)).tolist() == [3, 1, 4]


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is truncated: 0 bytes hold no IDX header"),
        (GOOD[:3], "is truncated: 3 bytes hold no IDX header"),
        (GOOD[:9], "is truncated within its header of 16 bytes"),
        (GOOD[:-1], r"is truncated: shape \(1, 2, 3\) needs 22 bytes, but there are 21"),
        (GOOD + b"\0", r"has trailing bytes: shape \(1, 2, 3\) needs 22 bytes"),
        (gzip.compress(GOOD[:-1], mtime=0), "is truncated: shape"),
        (gzip.compress(GOOD + b"\0", mtime=0), "has trailing bytes: shape"),
        (b"\1" + GOOD[1:], "is not an IDX file: its magic number is 0x01000803"),
        (b"\0\0\x08\0", "is not an IDX file: its magic number is 0x00000800"),
        (b"\0\0\x08\xff" + bytes(4 * 255), "is not an IDX file: its magic number is 0x000008ff"),
        (b"<html>not found</html>", "is not an IDX file: its magic number is 0x3c68746d"),
        (b"\0\0\x0a" + GOOD[3:], "has the element type 0x0a, but IDX has only 0x08, 0x09"),
        (ZIPPED[:-9], "is broken gzip"),
        (ZIPPED[:5], "is broken gzip"),
        (ZIPPED[:10] + b"\xff" + ZIPPED[11:], "is broken gzip"),
        (ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], "is broken gzip: CRC check failed"),
        (ZIPPED + b"rest", "is broken gzip"),
    ],
)
def test_read_idx_names_the_file_and_what_is_wrong(tmp_path, content, fault):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"images {fault}") as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)


ROWS = 0xFFFF_FFFF.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\0\0\x08\1" + ROWS, "is truncated: shape (4294967295,) needs 4294967303 bytes, but"),
        (b"\0\0\x08\3" + 3 * ROWS + b"rest", "is truncated: shape (4294967295, 4294967295, "),
        (b"\0\0\x08\4" + bytes(4) + 3 * ROWS, "has the shape (0, 4294967295, 4294967295, "),
    ],
    ids=["one", "three", "none"],
)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "zipped"])
def test_read_idx_takes_no_memory_for_elements_that_are_not_there(tmp_path, content, fault, zipped):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(ValueError, match="shape") as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path} {fault}")


def test_read_idx_unpacks_no_more_than_the_shape_needs(tmp_path):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD)
        for _ in range(2**8):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="has trailing bytes"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_read_idx_keeps_nothing_of_what_is_less_than_the_shape_needs(tmp_path):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\0\0\x08\1" + ROWS)
        for _ in range(2**8):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"is truncated.* there are {8 + 2**28}"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "zipped"])
def test_read_idx_counts_large_contents_first(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(idx, "KEPT_UNCOUNTED", 5)
    monkeypatch.setattr(idx, "BYTES_AT_A_TIME", 4)
    path, array = tmp_path / "images", np.arange(30, dtype=np.uint8).reshape(5, 6)
    whole = idx_bytes(array)
    path.write_bytes(pack(whole))
    assert np.array_equal(read_idx(path), array)
    for content, fault in ((whole + b"!", "has trailing bytes"), (whole[:-1], "is truncated")):
        path.write_bytes(pack(content))
        with pytest.raises(ValueError, match=fault):
            read_idx(path)


def test_read_idx_does_not_hide_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


# --- digits


def test_digits_are_the_default():
    data = load_dataset()
    assert data.name == "digits"
    assert data.x_train.shape == (1437, 64)
    assert data.x_test.shape == (360, 64)
    assert data.y_train.shape == (1437,)
    assert data.y_test.shape == (360,)
    assert data.n_classes == 10
    assert data.input_scale == 1.0
    assert data.image_shape == (8, 8)
    assert data.x_train.dtype == data.x_test.dtype == np.float64
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    assert set(data.y_train) == set(data.y_test) == set(range(10))


def test_digits_are_the_raw_ones_times_the_scale():
    raw, data = load_dataset(raw=True), load_dataset()
    assert raw.x_train.dtype == raw.x_test.dtype == np.uint8
    assert (raw.input_scale, raw.x_train.max()) == (1 / 16, 16)
    np.testing.assert_array_equal(data.x_train, raw.x_train.astype(np.float64) * raw.input_scale)
    np.testing.assert_array_equal(data.x_test, raw.x_test.astype(np.float64) * raw.input_scale)


def test_digits_have_a_fixed_split_that_uses_each_image_once():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(1797)
    data = load_dataset(raw=True)
    # Rows that went through the inverse permutation are scikit-learn's, each in its own place.
    back = np.argsort(order)
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test])[back], x)
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test])[back], y)
    assert not set(order[:1437]) & set(order[1437:])

    again = load_dataset(raw=True)
    np.testing.assert_array_equal(again.x_train, data.x_train)
    np.testing.assert_array_equal(again.y_test, data.y_test)


# --- IDX data sets in a folder


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("subfolder", [".", "fashion-mnist"])
def test_files_are_found_in_the_folder_and_in_its_subfolder(tmp_path, gz, dotted, subfolder):
    write_files(tmp_path / subfolder, gz=gz, dotted=dotted)
    data = load_dataset("fashion-mnist", folder=tmp_path)
    assert_is_small_data(data, "fashion-mnist")
    assert data.input_scale == 1.0
    assert data.x_train.dtype == np.float64
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)


def test_the_files_may_be_a_mixture_of_spellings(tmp_path):
    write_files(tmp_path, gz=True)
    content = gzip.decompress((tmp_path / f"{IDX_FILES[1]}.gz").read_bytes())
    (tmp_path / f"{IDX_FILES[1]}.gz").unlink()
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(content)
    assert_is_small_data(load_dataset("mnist", folder=str(tmp_path)))


def test_raw_images_stay_bytes_and_the_scale_maps_them_exactly(tmp_path):
    folder = write_files(tmp_path)
    raw = load_dataset("mnist", folder=folder, raw=True)
    data = load_dataset("mnist", folder=folder)
    assert_is_small_data(raw)
    assert raw.x_train.dtype == raw.x_test.dtype == np.uint8
    assert raw.input_scale == 1 / 255
    np.testing.assert_array_equal(data.x_train, raw.x_train.astype(np.float64) * raw.input_scale)
    np.testing.assert_array_equal(data.x_test, raw.x_test.astype(np.float64) * raw.input_scale)


@pytest.mark.parametrize("file", IDX_FILES)
def test_a_missing_file_names_folder_and_files(tmp_path, monkeypatch, file):
    # A complete folder elsewhere must not stand in for the one that was asked for.
    monkeypatch.setenv("SPIKEBP_DATA", str(write_files(tmp_path / "other" / "mnist").parent))
    folder = write_files(tmp_path / "asked")
    (folder / f"{file}.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("mnist", folder=folder)
    message = str(caught.value)
    assert str(folder) in message
    assert str(folder / "mnist") in message
    assert all(name in message for name in IDX_FILES)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_dataset("mnist", folder=tmp_path / "nowhere")


def test_the_folder_in_the_environment_is_used(tmp_path, monkeypatch):
    write_files(tmp_path / "mnist")
    monkeypatch.setenv("SPIKEBP_DATA", str(tmp_path))
    assert_is_small_data(load_dataset("mnist", download=False))


def test_an_incomplete_folder_in_the_environment_is_an_error(tmp_path, monkeypatch):
    folder = write_files(tmp_path / "mnist")
    (folder / f"{IDX_FILES[3]}.gz").unlink()
    monkeypatch.setenv("SPIKEBP_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=IDX_FILES[3]):
        load_dataset("mnist")


@pytest.mark.parametrize("value", ["", "{tmp_path}"])
def test_an_environment_without_the_data_set_leaves_the_cache(tmp_path, monkeypatch, value):
    monkeypatch.setenv("SPIKEBP_DATA", value.format(tmp_path=tmp_path))
    write_files(tmp_path / "cache" / "spikebp-plugins" / "mnist")
    assert_is_small_data(load_dataset("mnist", download=False))


# --- files that are not what they should be


@pytest.mark.parametrize(
    ("index", "array", "fault"),
    [
        (1, np.zeros(6, np.uint8), "holds 7 images, but .* holds 6 labels"),
        (3, np.zeros(4, np.uint8), "holds 3 images, but .* holds 4 labels"),
        (1, np.array([0, 1, 2, 3, 4, 5, 10], np.uint8), "holds the label 10"),
        (0, np.zeros((7, 12), np.uint8), "must hold uint8 in 3 dimensions, .* uint8 in 2"),
        (0, np.zeros((7, 3, 4), np.float32), "must hold uint8 in 3 dimensions, .* float32 in 3"),
        (1, np.zeros((7, 1), np.uint8), "must hold uint8 in 1 dimensions, .* uint8 in 2"),
        (1, np.zeros(7, np.int32), "must hold uint8 in 1 dimensions, .* int32 in 1"),
        (2, np.zeros((3, 4, 3), np.uint8), r"images of shape \(4, 3\), but .* \(3, 4\)"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, index, array, fault):
    arrays = small_arrays()
    arrays[index] = array
    folder = write_files(tmp_path, arrays)
    with pytest.raises(ValueError, match=fault) as caught:
        load_dataset("mnist", folder=folder)
    assert IDX_FILES[index] in str(caught.value)


@pytest.mark.parametrize("name", ["MNIST", "", None, 3, ["digits"]])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match="name must be one of 'digits', 'mnist', 'fashion-mnist'"):
        load_dataset(name)


# --- downloads, from a server on this machine


@pytest.fixture
def server(tmp_path):
    """Serve the folder that the fixture returns with its URL; count what is asked for."""
    folder = write_files(tmp_path / "served")
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            if not self.path.startswith("/breaks-off/"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_):
            requests.append(self.path)

    with HTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as httpd:
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/", requests
        httpd.shutdown()
        thread.join()
    gc.collect()  # so that a connection left open is held against the test that left it


@pytest.fixture
def dead_host():
    """Return the URL of a port that is taken, so that nobody else listens there, but closed."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


def publish(monkeypatch, folder, *hosts):
    md5 = [hashlib.md5((folder / f"{file}.gz").read_bytes()).hexdigest() for file in IDX_FILES]
    monkeypatch.setitem(datasets.SOURCES, "mnist", Publication(hosts, tuple(md5)))


def test_a_download_fills_the_cache_once(tmp_path, monkeypatch, server):
    folder, url, requests = server
    publish(monkeypatch, folder, url)
    assert_is_small_data(load_dataset("mnist"))
    cache = tmp_path / "cache" / "spikebp-plugins" / "mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{f}.gz" for f in IDX_FILES)
    assert len(requests) == 4

    assert_is_small_data(load_dataset("mnist"))
    assert_is_small_data(load_dataset("mnist", download=False))
    assert len(requests) == 4


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path, monkeypatch, server):
    folder, url, requests = server
    publish(monkeypatch, folder, url)
    cache = write_files(tmp_path / "cache" / "spikebp-plugins" / "mnist")
    (cache / f"{IDX_FILES[2]}.gz").write_bytes(b"half a fi")
    assert_is_small_data(load_dataset("mnist"))
    assert len(requests) == 1


def test_a_dead_host_leaves_the_mirror(monkeypatch, server, dead_host):
    folder, url, _ = server
    publish(monkeypatch, folder, dead_host, url)
    assert_is_small_data(load_dataset("mnist"))


@pytest.mark.parametrize("place", ["moved/", "breaks-off/"])
def test_a_host_that_fails_leaves_the_mirror(monkeypatch, server, place):
    folder, url, _ = server
    publish(monkeypatch, folder, f"{url}{place}", url)
    assert_is_small_data(load_dataset("mnist"))


def test_no_network_is_one_sentence_with_a_way_out(monkeypatch, server, dead_host):
    folder, url, _ = server
    publish(monkeypatch, folder, f"{url}moved/", dead_host)
    with pytest.raises(ConnectionError) as caught:
        load_dataset("mnist")
    message = str(caught.value)
    tried = f"{url}moved/ (HTTP 404) or {dead_host} (no connection)"
    assert message.startswith(f"could not fetch mnist from {tried}; ")
    assert "folder=" in message
    assert "SPIKEBP_DATA" in message
    assert "\n" not in message
    assert "refused" in str(caught.value.__cause__)


@pytest.fixture
def wrong_host(server):
    """Return the URL of a host that has a file with other contents."""
    folder, url, _ = server
    write_files(folder / "wrong")
    (folder / "wrong" / f"{IDX_FILES[1]}.gz").write_bytes(b"something else")
    return f"{url}wrong/"


def test_wrong_contents_leave_the_mirror(monkeypatch, server, wrong_host):
    folder, url, requests = server
    publish(monkeypatch, folder, wrong_host, url)
    assert_is_small_data(load_dataset("mnist"))
    assert [path.startswith("/wrong/") for path in requests] == [True, True, False, False, False]


def test_wrong_contents_are_not_taken_for_a_missing_network(
    tmp_path, monkeypatch, server, wrong_host, dead_host
):
    publish(monkeypatch, server[0], wrong_host, dead_host)
    with pytest.raises(ValueError, match="could not fetch mnist") as caught:
        load_dataset("mnist")
    tried = f"{wrong_host} (wrong contents) or {dead_host} (no connection)"
    assert str(caught.value).startswith(f"could not fetch mnist from {tried}; ")
    assert f"hash of downloaded file ({IDX_FILES[1]}.gz) does not" in str(caught.value.__cause__)
    assert not (tmp_path / "cache" / "spikebp-plugins" / "mnist" / f"{IDX_FILES[1]}.gz").exists()


def test_without_download_nothing_is_asked_for(tmp_path, monkeypatch, server):
    folder, url, requests = server
    publish(monkeypatch, folder, url)
    with pytest.raises(FileNotFoundError, match="download=True would fetch them") as caught:
        load_dataset("mnist", download=False)
    assert str(tmp_path / "cache") in str(caught.value)
    assert not requests


def test_every_other_data_set_has_a_source():
    assert ("digits", *SOURCES) == DATASET_NAMES
    for source in SOURCES.values():
        assert len(source.hosts) == 2
        assert all(host.endswith("/") for host in source.hosts)
        assert [len(bytes.fromhex(md5)) for md5 in source.md5] == [16] * 4


# --- the real thing


@pytest.mark.skipif(not DATA_FOLDER, reason="SPIKEBP_DATA does not name a folder that has mnist/")
def test_mnist_is_mnist(monkeypatch):
    monkeypatch.setenv("SPIKEBP_DATA", DATA_FOLDER)
    data = load_dataset("mnist", raw=True, download=False)
    assert data.x_train.shape == (60000, 784)
    assert data.x_test.shape == (10000, 784)
    assert data.image_shape == (28, 28)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    # Checksums of the unzipped files, since those of gzip depend on who zipped them.
    written = [
        data.x_train.reshape(-1, 28, 28),
        data.y_train.astype(np.uint8),
        data.x_test.reshape(-1, 28, 28),
        data.y_test.astype(np.uint8),
    ]
    assert [hashlib.md5(idx_bytes(array)).hexdigest() for array in written] == [
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ]
