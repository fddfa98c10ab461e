"""Events of a sensor, and the input that they become."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebp_plugins import EVENT_DTYPE, EventEncoder


def events(*rows):
    return np.array(list(rows), EVENT_DTYPE)


@st.composite
def recordings(draw, width=5, height=4, longest=60):
    pixel = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    rows = draw(
        st.lists(st.tuples(pixel, st.integers(0, 900), st.integers(0, 1)), max_size=longest)
    )
    return events(*sorted(((x, y, t, p) for (x, y), t, p in rows), key=lambda row: row[2]))


def counted(recording, encoder, n_steps, start):
    """Count event by event."""
    counts = [[0] * encoder.n_inputs for _ in range(n_steps)]
    for x, y, t, p in recording.tolist():
        step = (t - start) // encoder.step
        unit = y * encoder.width + x
        if encoder.polarity == "planes":
            unit += p * encoder.width * encoder.height
        if step < n_steps:
            counts[step][unit] += -1 if encoder.polarity == "signs" and not p else 1
    return counts


@given(
    recordings(),
    st.sampled_from(["planes", "signs", "ignored"]),
    st.integers(1, 400),
    st.integers(0, 8),
)
def test_encoding_counts_the_events_of_each_step(recording, polarity, step, n_steps):
    encoder = EventEncoder(5, 4, step=step, polarity=polarity)
    first = int(recording["t"][0]) if len(recording) else 0
    for start in (None, 0):
        found = encoder.encode(recording, n_steps, start=start)
        assert found.dtype == np.int64
        assert found.shape == (n_steps, encoder.n_inputs)
        expected = counted(recording, encoder, n_steps, first if start is None else 0)
        assert found.tolist() == expected


@given(recordings(), st.integers(1, 400), st.integers(0, 50))
def test_without_a_number_of_steps_there_are_as_many_as_events_need(recording, step, before):
    encoder = EventEncoder(5, 4, step=step)
    start = before * (-1)
    found = encoder.encode(recording, start=start)
    needed = (int(recording["t"][-1]) - start) // step + 1 if len(recording) else 0
    assert found.tolist() == counted(recording, encoder, needed, start)


@pytest.mark.parametrize("polarity", ["planes", "signs", "ignored"])
@given(recordings())
def test_counting_a_step_is_encoding_it(polarity, recording):
    encoder = EventEncoder(5, 4, step=1000, polarity=polarity)
    assert (
        encoder.count(encoder.locate(recording)).tolist()
        == encoder.encode(recording, 1, start=0)[0].tolist()
    )


def test_the_forms_of_other_tools_are_taken():
    expected = EventEncoder(5, 4, step=10).encode(events((4, 3, 5, 1), (0, 2, 7, 0)))
    tonic = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    aer = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
    for dtype in (tonic, aer):
        given = np.zeros(2, dtype)
        given["x"], given["y"], given["t"], given["p"] = [4, 0], [3, 2], [5, 7], [1, 0]
        assert (EventEncoder(5, 4, step=10).encode(given) == expected).all()


GAP = "longest_gap=1000000 steps of 10 microseconds after the time before"
WRONG = {
    "x": (events((1, 1, 0, 0), (5, 1, 0, 0)), "x of events must be from 0 to 4; got 5 in event 1"),
    "negative x": (events((-1, 1, 0, 0)), "x of events must be from 0 to 4; got -1 in event 0"),
    "y": (events((1, 4, 0, 0)), "y of events must be from 0 to 3; got 4 in event 0"),
    "p": (events((1, 1, 0, 2)), "p of events must be 0 or 1; got 2 in event 0"),
    "time": (
        events((1, 1, 5, 0), (1, 1, 5, 0), (1, 1, 4, 0)),
        "events must be in the order of time; got t = 4 in event 2, after 5",
    ),
    "early": (events((1, 1, -3, 0)), "events must be in the order of time; got t = -3 in event 0"),
    "a leap": (
        events((1, 1, 7, 0), (1, 1, 2**45, 0)),
        f"t of events must be at most {GAP}, 7; got 35184372088832 in event 1",
    ),
    "a start far away": (
        events((1, 1, 2**62, 0)),
        f"t of events must be at most {GAP}, 0; got 4611686018427387904 in event 0",
    ),
    "more than 63 bits": (
        np.array([(1, 1, 2**63, 0)], [(name, np.uint64) for name in "xytp"]),
        "t of events must be integers of 64 bits with a sign; got 9223372036854775808 in event 0",
    ),
    "no fields": (np.zeros((3, 4)), "events must be a one-dimensional structured array with"),
    "a field less": (np.zeros(2, [("x", int), ("y", int), ("t", int)]), "events must be a one-dim"),
    "two dimensions": (np.zeros((2, 2), EVENT_DTYPE), "events must be a one-dimensional"),
    "real times": (
        np.zeros(1, [("x", int), ("y", int), ("t", float), ("p", int)]),
        "field t of events must be integers; got an array of float64",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_first_wrong_event_is_named(name):
    wrong, message = WRONG[name]
    with pytest.raises(ValueError, match="must be") as error:
        EventEncoder(5, 4, step=10).encode(wrong, start=0)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 2**63}, f"step must be an integer from 1 to {2**63 - 1}; got {2**63}"),
        ({"longest_gap": 0}, "longest_gap must be an integer of at least 1; got 0"),
        ({"polarity": "both"}, "polarity must be one of 'planes', 'signs', 'ignored'; got 'both'"),
    ],
)
def test_wrong_encoders_are_refused(changes, message):
    with pytest.raises(ValueError, match="must be") as error:
        EventEncoder(**({"width": 5, "height": 4, "step": 10} | changes))
    assert str(error.value) == message


def test_batches_are_encoded_one_after_the_other():
    encoder = EventEncoder(5, 4, step=10)
    shown = []

    def dataset():
        for label in range(5):
            shown.append(label)
            yield events((label, 0, 0, 1), (0, 0, 15, 0)), label

    batches = encoder.batches(dataset(), n_steps=3, size=2)
    x, y = next(batches)
    assert shown == [0, 1]
    assert x.shape == (2, 3, 40)
    assert x.dtype == np.int32
    assert y.tolist() == [0, 1]
    rest = list(batches)
    assert [len(x) for x, _ in rest] == [2, 1]
    for label, counts in enumerate([*x, *(counts for x, _ in rest for counts in x)]):
        recording = events((label, 0, 0, 1), (0, 0, 15, 0))
        assert (counts == encoder.encode(recording, 3)).all()


def test_a_batch_takes_little_more_memory_than_its_array():
    encoder = EventEncoder(200, 200, step=10)
    recordings = [(events((i, 0, 0, 1), (0, i, 45, 0)), i) for i in range(20)]
    encoder.encode(recordings[0][0])
    tracemalloc.start()
    try:
        x, _ = next(encoder.batches(recordings, n_steps=5, size=20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * x.nbytes


def test_a_batch_has_at_least_one_recording():
    with pytest.raises(ValueError, match="size must be an integer of at least 1; got 0"):
        next(EventEncoder(5, 4, step=10).batches([], 3, size=0))
