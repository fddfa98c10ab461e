"""Locks of estimators that threads share, so that copies are consistent."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields
from threading import RLock
from typing import TYPE_CHECKING, Any

from spikebp_plugins.common.synchronized import synchronized

if TYPE_CHECKING:
    from typing_extensions import Self


class Lock(type(RLock())):  # type: ignore[misc]
    """A reentrant lock that can be copied and pickled: the copy is a new lock."""

    def __reduce__(self) -> Any:
        return Lock, ()


class EstimatorLocks:
    """The base of an estimator that is a dataclass: a lock over all that it holds, and of learning.

    A call that learns in many parts holds ``_learning_lock`` all the time, so that no other learns
    between them, and ``_lock`` in each part alone, so that others may predict. A call that takes
    both takes ``_learning_lock`` first.
    """

    _lock: RLock
    _learning_lock: RLock

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ARG004
        """Return an object with its locks, so that `__init__` need not create them."""
        made = super().__new__(cls)
        made._lock, made._learning_lock = Lock(), Lock()
        return made

    @synchronized
    def __getstate__(self) -> dict[str, Any]:
        state = vars(self).copy()
        parameters = {field.name: state.pop(field.name) for field in fields(self)}  # type: ignore[arg-type]
        # The copy is serialized after the lock is released: other threads may go on learning.
        return parameters | deepcopy(state)
