"""Verdicts on what is drawn at random: it must equal the reference, or be refused with an error."""

import traceback
from collections import Counter
from typing import NamedTuple

OUTCOMES = ("equal", "refused", "different")


class DifferenceError(AssertionError):
    """Something differs from the reference; the message says where."""


class RefusedError(Exception):
    """Something was refused; the message is that of the package."""


class Verdict(NamedTuple):
    """What came out: "equal", "refused" or "different", and why."""

    outcome: str
    reason: str = ""


def verdict_on(compare, drawn):
    """Return the verdict that a comparison comes to."""
    try:
        compare(drawn)
    except RefusedError as error:
        return Verdict("refused", str(error))
    except Exception as error:
        is_told = isinstance(error, DifferenceError)
        reason = str(error) if is_told else "".join(traceback.format_exception(error))
        return Verdict("different", reason)
    return Verdict("equal")


def judged(seeds, draw, judge, report=print):
    """Judge what some seeds draw; return the counts of outcomes and of kinds."""
    outcomes, kinds = Counter(), Counter()
    for seed in seeds:
        drawn = draw(seed)
        verdict = judge(drawn)
        outcomes[verdict.outcome] += 1
        kinds.update(set(drawn.kinds()))
        if verdict.outcome == "different":
            report(f"seed {seed}: different\n{drawn}\n{verdict.reason}\n")
        elif verdict.outcome == "refused":
            report(f"seed {seed}: refused: {verdict.reason}")
    return outcomes, kinds


def print_counts(outcomes, kinds, seconds):
    """Print how often each kind was drawn, and what came out."""
    for kind, count in sorted(kinds.items()):
        print(f"{count:5} {kind}")
    print(", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES))
    print(f"{seconds:.0f} s")
