"""Random sessions on one simulator equal the reference; a fault in any mechanism is noticed."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spikebp_plugins.compiled import backend, layout, stepper
from spikebp_plugins.compiled.backend import CompiledBackend
from spikebp_plugins.compiled.kernels import steps
from spikebp_plugins.compiled.layout import Now
from spikebp_plugins.compiled.memory import Memory
from spikebp_plugins.compiled.single_steps import CompiledSteps
from spikebp_plugins.compiled.stepper import Stepper
from tests.core.random_sessions import Session, SessionError
from tests.mutations import mutated
from tests.profiles import examples


# A smaller seed is no smaller session, so nothing is gained by looking for one.
@settings(max_examples=examples(120), phases=set(Phase) - {Phase.shrink, Phase.explain})
@given(st.integers(0, 2**32 - 1))
def test_random_sessions_equal_the_reference(seed):
    Session(seed).run()


def edited(owner, name, *edits):
    """Return a fault: the source of a method with edits."""

    def put(monkeypatch):
        monkeypatch.setattr(owner, name, mutated(getattr(owner, name), *edits))

    return put


def states_taken_late(monkeypatch):
    show_some = CompiledBackend._show_some

    def late(self, now, memory, batch, record, go_on):
        states = []
        shown = show_some(self, now, memory, batch, record, states.append)
        go_on(states[-1])
        return shown

    monkeypatch.setattr(CompiledBackend, "_show_some", late)


def ending(change):
    """Return a fault at the end of a sample that was shown step by step."""

    def put(monkeypatch):
        end_sample = steps.end_sample

        def faulty(run, trained):
            change(run)
            end_sample(run, trained)
            run.boundary.n_kept[0] = 0

        monkeypatch.setattr(steps, "end_sample", faulty)

    return put


def undo_backward_potentials(run):
    run.learning.backward_potential[...] = run.boundary.backward_potential


def mark_all_columns(run):
    run.boundary.is_kept[...] = True


def updates_are_not_logged(monkeypatch):
    drop_sample = steps.drop_sample

    def faulty(run):
        run.boundary.n_logged[0] = 0
        drop_sample(run)

    monkeypatch.setattr(steps, "drop_sample", faulty)


def dropped_samples_stay(monkeypatch):
    def end(run):
        run.boundary.is_open[0] = False

    monkeypatch.setattr(steps, "drop_sample", end)


def errors_that_change_the_state(monkeypatch):
    """What a sample that no kernel can show has changed is not undone."""
    by_reference = CompiledBackend._by_reference

    def faulty(self, now, *arguments):
        now.learning.backward_potential[...] += now.layout.network.one
        return by_reference(self, now, *arguments)

    monkeypatch.setattr(CompiledBackend, "_by_reference", faulty)


FAULTS = {
    "kernels change arrays before the state has them": states_taken_late,
    "samples of two shapes share memory": edited(Memory, "kept", ("x.shape", "x.ndim")),
    "samples of two types share a handle": edited(
        backend, "kind_of", ("(x.dtype, x.shape, n_steps, y.dtype", "(x.shape, n_steps, y.dtype")
    ),
    "a handle outlives the state": edited(
        CompiledBackend, "show_one", ("handle.now is not self._now", "False")
    ),
    "a single prediction uses the state of an open sample": edited(
        CompiledBackend, "show_one", ("handle.now.boundary.is_open[0]", "False")
    ),
    "nobody checks single samples": edited(Memory, "kept", ("checked=checked)", "checked=True)")),
    "what an open sample has learned stays when it is dropped": dropped_samples_stay,
    "a stream does not see what others have learned": edited(
        CompiledSteps,
        "_bind",
        ("now.learning is not before.learning or now.totals is not before.totals", "False"),
    ),
    "a stream drops the open sample of another": edited(
        CompiledSteps, "drop", ("engine.owner is self and ", "")
    ),
    "columns that the reference changes are not kept": edited(
        Stepper, "_learn", ("steps.keep_all(self.run)", "pass")
    ),
    "bounds stay when the reference has learned a step": edited(
        stepper, "forget_bounds", ("bound[...] = np.inf", "pass"), ("boundary.age[0]", "_")
    ),
    "bounds are not measured": edited(
        layout, "forget_bounds", ("bound[...] = np.inf", "pass"), ("boundary.age[0]", "_")
    ),
    "backward potentials of a sample of a stream are lost": ending(undo_backward_potentials),
    "potentials are lost when a sample goes on in 64 bits": edited(
        CompiledSteps, "_widen", ("overwrite(stepper.sample, self._stepper.sample)", "pass")
    ),
    "what a sample began with is lost when it goes on in 64 bits": edited(
        Now, "in_wider", ("overwrite(now.boundary, self.boundary)", "pass")
    ),
    "updates of a sample that is dropped are not in the log": updates_are_not_logged,
    "columns are taken for kept that are not": ending(mark_all_columns),
    "a refused sample is not undone": errors_that_change_the_state,
}


def first_that_fails(most=400):
    """Return the seed of the first session that fails, and its error."""
    for seed in range(most):
        try:
            Session(seed).run()
        except SessionError as error:
            return seed, error
    raise AssertionError(f"none of {most} sessions fails")


@pytest.mark.thorough
@pytest.mark.once
@pytest.mark.parametrize("fault", FAULTS)
def test_sessions_notice_faults(fault, monkeypatch):
    FAULTS[fault](monkeypatch)
    first_that_fails()


@pytest.mark.parametrize("updates", [0, 1])
def test_samples_whose_log_of_updates_is_full(updates, monkeypatch):
    monkeypatch.setattr(layout, "UPDATES_LOGGED", updates)
    for seed in range(updates, 30, 2):
        Session(seed).run()


@pytest.mark.parametrize("seed", [0, 11])
def test_a_session_is_drawn_from_its_seed(seed):
    one, two = Session(seed), Session(seed)
    assert one.run() == two.run()
    assert one.history == two.history


def test_a_failure_says_how_to_see_it_again(monkeypatch):
    errors_that_change_the_state(monkeypatch)
    seed, failure = first_that_fails()
    assert f"python -m tests.core.random_sessions --sessions 1 --seed {seed}" in str(failure)
    with pytest.raises(SessionError) as again:
        Session(seed).run()
    assert str(again.value) == str(failure)
