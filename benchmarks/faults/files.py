"""Damaged files, read one by one.

``python benchmarks/faults/files.py KINDS SEED FIRST LAST`` prints a line of JSON for each case of
kinds that are separated by commas; a process that a case ends prints none for it. What a case does
depends on its kind, seed and number.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import re
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kinds import KINDS, Kind
from numpy.random import RandomState

from spikebp_plugins import SpikingMLP
from spikebp_plugins.common.approximation import ApproximationWarning

#: Seconds after which a file hangs its reader.
TIME_LIMIT = 10

#: Bytes that reading a file may take beyond what the process has.
MEMORY_LIMIT = 500 * 2**20

#: Bytes of address space beyond which a reader is stopped, so that it does not stop the machine.
ADDRESS_LIMIT = 8 * 2**30

#: What the readers promise to raise, all of them with the path.
REFUSALS = (ValueError, OSError, OverflowError)


def random_of(*case: object) -> RandomState:
    """Return the random numbers of a case."""
    digest = hashlib.sha256(repr(case).encode()).digest()
    return RandomState(np.frombuffer(digest, np.uint32))


def content(found: Any) -> Any:
    """Return what was read in a form that ``==`` compares to the last bit."""
    if isinstance(found, (np.ndarray, np.generic)):
        return found.dtype.str, found.shape, found.tobytes()
    if isinstance(found, SpikingMLP):
        return found.to_dict()
    if is_dataclass(found):
        return content(vars(found))
    if isinstance(found, dict):
        return {name: content(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [content(value) for value in found]
    return found


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def judged_error(error: BaseException, wanted: str) -> tuple[str, str]:
    """Return the verdict on an error, whose message must match `wanted`."""
    text = str(error)
    for cause in causes(error):
        if isinstance(cause, MemoryError) or "Unable to allocate" in str(cause):
            return "failed", f"out of memory: {text[:200]}"
    if not isinstance(error, REFUSALS):
        return "failed", "".join(traceback.format_exception(error))[-1500:]
    if not re.search(wanted, text) or "\n" in text or len(text) > 1000:
        return "failed", f"message {type(error).__name__}: {text[:500]!r}"
    return "refused", text


def judged(kind: Kind, path: Path, whole: Any) -> tuple[str, str]:
    """Read a damaged file; return the verdict, and the reason for it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = kind.read(path)
        except BaseException as error:
            verdict = judged_error(error, re.escape(str(path)))
        else:
            same = content(found) == content(whole)
            verdict = ("same", "") if same else ("other", "")
            if kind.use is not None:
                try:
                    kind.use(found)
                except BaseException as error:
                    verdict = judged_error(error, r"in event \d")
    # Those of deprecation, of the libraries beneath, are not shown to users.
    expected = (ApproximationWarning, DeprecationWarning)
    unexpected = [w for w in warned if not issubclass(w.category, expected)]
    if unexpected:
        return "failed", f"warning {unexpected[0].category.__name__}: {unexpected[0].message}"
    return verdict


def memory(field: str) -> int:
    """Return bytes of this process from its status, ``VmSize`` or ``VmHWM``."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)[1])


def judged_case(kind: Kind, whole: Any, path: Path) -> dict[str, str]:
    """Read a damaged file in bounds of memory and time."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    before = memory("VmHWM")
    highest = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + ADDRESS_LIMIT, highest))
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    try:
        verdict, reason = judged(kind, path, whole)
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (highest, highest))
    taken = memory("VmHWM") - before
    if taken > MEMORY_LIMIT:
        verdict, reason = "failed", f"{taken / 2**20:.0f} MB of memory: {reason}"
    return {"verdict": verdict, "reason": reason}


def judged_files(name: str, seed: int, numbers: range, keep: Path | None) -> Iterator[dict]:
    """Yield the verdict on each of some cases of a kind; `keep` is where the last file stays."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        wholes = []
        for data in kind.samples():
            path.write_bytes(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ApproximationWarning)
                wholes.append((data, kind.read(path)))
        for number in numbers:
            random = random_of(name, seed, number)
            data, whole = wholes[random.randint(len(wholes))]
            data = kind.damaged(data, random)
            for place in (path, keep):
                if place is not None:
                    place.write_bytes(data)
            yield {"case": f"{name}:{number}", "number": number, **judged_case(kind, whole, path)}


def main() -> None:
    seed, first, last = map(int, sys.argv[2:5])
    keep = Path(sys.argv[5]) if len(sys.argv) > 5 else None
    for name in sys.argv[1].split(","):
        for result in judged_files(name, seed, range(first, last), keep):
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
