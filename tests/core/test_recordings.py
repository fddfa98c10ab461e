"""Files of event cameras, and folders of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebp_plugins import EVENT_DTYPE, EventEncoder
from spikebp_plugins.data.aer import EventRecordings, load_nmnist, read_aer
from tests.aer import write_aer


def events(*rows):
    return np.array(list(rows), EVENT_DTYPE)


def test_five_bytes_are_an_event(tmp_path):
    file = tmp_path / "one.bin"
    file.write_bytes(bytes([3, 33, 0x80 | 0x01, 0x02, 0x03, 4, 5, 0x01, 0x02, 0x04]))
    expected = events((3, 33, 0x010203, 1), (4, 5, 0x010204, 0))
    assert (read_aer(file) == expected).all()
    assert read_aer(file).dtype == EVENT_DTYPE


def test_the_counter_of_time_runs_over(tmp_path):
    file = tmp_path / "long.bin"
    rows = [
        (1, 1, 0, 0, 9),
        (0, 240, 0, 0, 0),
        (2, 2, 0x80, 0, 1),
        (0, 240, 0, 0, 0),
        (3, 3, 0, 0, 2),
    ]
    file.write_bytes(bytes(byte for row in rows for byte in row))
    expected = events((1, 1, 9, 0), (2, 2, 8192 + 1, 1), (3, 3, 2 * 8192 + 2, 0))
    assert (read_aer(file) == expected).all()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 255),
            st.integers(0, 255).filter(lambda y: y != 240),
            st.integers(0, 2**23 - 1),
            st.integers(0, 1),
        )
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("aer") / "file.bin"
    write_aer(file, events(*rows))
    assert (read_aer(file) == events(*rows)).all()


@pytest.mark.parametrize("size", [1, 4, 11, 14])
def test_a_truncated_file_names_the_event(tmp_path, size):
    file = tmp_path / "cut.bin"
    file.write_bytes(bytes(size))
    with pytest.raises(ValueError, match="truncated") as error:
        read_aer(file)
    rest = f"event {size // 5} has {size % 5} of 5 bytes"
    assert str(error.value) == f"{file} is truncated: {rest}"


@pytest.fixture
def folder(tmp_path):
    for part in ("Train", "Test"):
        for digit in (0, 3):
            place = tmp_path / "nmnist" / part / str(digit)
            place.mkdir(parents=True)
            for n in range(3 if part == "Train" else 1):
                write_aer(place / f"{n:05}.bin", events((digit, n, 5, 1)))
    return tmp_path


def test_recordings_are_read_when_they_are_asked_for(folder):
    found = load_nmnist(folder / "nmnist")
    assert found.labels.tolist() == [0, 0, 0, 3, 3, 3]
    read, label = found[4]
    assert read.tolist() == [(3, 1, 5, 1)]
    assert label == 3
    assert [(len(read), label) for read, label in found] == [(1, label) for label in found.labels]
    found.files[5].unlink()
    part = found[1:4]
    assert isinstance(part, EventRecordings)
    assert part.labels.tolist() == [0, 0, 3]
    assert found[[0, 4]].labels.tolist() == [0, 3]
    assert repr(part) == "EventRecordings(3 recordings of 2 classes)"


def test_shuffling_is_that_of_the_seed(folder):
    found = load_nmnist(folder / "nmnist")
    order = np.random.RandomState(5).permutation(6)
    shuffled = found.shuffled(5)
    assert shuffled.files == [found.files[i] for i in order]
    assert shuffled.labels.tolist() == found.labels[order].tolist()


def test_folders_are_found(folder, monkeypatch):
    assert len(load_nmnist(folder / "nmnist", "Test")) == 2
    assert len(load_nmnist(folder / "nmnist" / "Test")) == 2
    monkeypatch.setenv("SPIKEBP_DATA", str(folder))
    assert len(load_nmnist()) == 6


def test_a_folder_without_recordings_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no recordings Train/<digit>"):
        load_nmnist(tmp_path)
    for place in (str(tmp_path), None):
        if place is None:
            monkeypatch.delenv("SPIKEBP_DATA", raising=False)
        else:
            monkeypatch.setenv("SPIKEBP_DATA", place)
        with pytest.raises(FileNotFoundError, match="give the folder of its recordings, or set"):
            load_nmnist()


def test_each_file_has_a_label(tmp_path):
    with pytest.raises(ValueError, match=r"labels must be one label for each of 2 files; got"):
        EventRecordings([tmp_path / "a", tmp_path / "b"], [1])


def dat(*numbers, kind=(12, 8), text=b"% Data file\n% Height 720\n% Width 1280\n"):
    return text + bytes(kind) + np.array(numbers, "<u4").tobytes()


def test_dat_files_of_large_sensors(tmp_path):
    file, place = tmp_path / "one.dat", 1279 | 719 << 14
    file.write_bytes(dat((5, 3 | 2 << 14), (2**32 - 1, place | 1 << 28), (7, place)))
    # The counter of time runs over before the last.
    expected = events((3, 2, 5, 0), (1279, 719, 2**32 - 1, 1), (1279, 719, 2**32 + 7, 0))
    assert (read_aer(file) == expected).all()
    assert (EventRecordings([file], [4])[0][0] == expected).all()
    encoder = EventEncoder(1280, 720, step=1000, longest_gap=2**32)
    assert encoder.locate(read_aer(file)).unit[1] == 2 * 1280 * 720 - 1
    file.write_bytes(dat(kind=(0, 8)))
    assert len(read_aer(file)) == 0


JAER = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"


def test_aedat_files_of_a_davis346(tmp_path):
    file = tmp_path / "one.aedat"
    addresses = [0, 345 << 12 | 259 << 22 | 1 << 11, 1 << 31 | 5 << 12, 1 << 10, 3 << 12 | 1 << 22]
    addresses.insert(0, 0x23 << 24)  # the first byte is that of "#"
    numbers = np.array([addresses, range(10, 16)], ">u4").T
    file.write_bytes(JAER + numbers.tobytes())
    rows = [(345, 259 - (0x23 << 2), 10, 0), (345, 259, 11, 0), (0, 0, 12, 1), (342, 258, 15, 0)]
    assert (read_aer(file) == events(*rows)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dat(kind=(14, 8)), r"has no events of pixels of eight bytes.*; got \(14, 8\)"),
        (dat(kind=(), text=b"% Date 2020\n"), r"has no events of pixels.*; got \(\)"),
        (dat((5, 3), kind=(12, 8)) + b"ab", "truncated: event 1 has 2 of 8 bytes"),
        (JAER + bytes(3), "truncated: event 0 has 3 of 8 bytes"),
        (JAER.replace(b"346", b"240"), "is no AEDAT 2.0 of a DAVIS346"),
        (b"#!AER-DAT4.0\r\n" + bytes(8), "it begins with '#!AER-DAT4.0': read it with a tool"),
    ],
)
def test_other_headers_are_refused(content, message, tmp_path):
    file = tmp_path / "other"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"other .*{message}"):
        read_aer(file)


def test_a_column_of_37_is_no_header(tmp_path):
    recording = events((37, 32, 5, 1), (35, 33, 9, 0))
    write_aer(tmp_path / "one.bin", recording)
    assert (read_aer(tmp_path / "one.bin") == recording).all()
