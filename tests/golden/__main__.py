"""Make the golden runs anew: ``python -m tests.golden [--accept] [NEW ...]``."""

import argparse
import sys
import tempfile
from pathlib import Path

from spikebp_plugins.common.archive import equal_arrays
from tests.core.small_nets import arrays_in
from tests.golden import FOLDER, NETS, Golden, new, read, show


def differences(name, folder):
    """Yield the files of a run that differ from the kept ones."""
    for part in Golden._fields:
        file = f"{name}/{part}.npz"
        if not equal_arrays(arrays_in(folder / file), arrays_in(FOLDER / file)):
            yield file


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="overwrite what has changed")
    parser.add_argument("new", nargs="*", metavar="NEW", help="a case of the suite to be kept")
    options = parser.parse_args()
    for name in options.new:
        new(name).save(FOLDER / name)
    refused = False
    for name in NETS:
        kept = read(name)
        golden = show(kept.start, kept.samples, "reference")
        with tempfile.TemporaryDirectory() as folder:
            golden.save(Path(folder) / name)
            changed = list(differences(name, Path(folder)))
        if changed:
            where = golden.training.diff(kept.training)
            print(f"{name}: {', '.join(changed)} changed; now and before: {where}")
            if options.accept:
                golden.save(FOLDER / name)
            refused = refused or not options.accept
    if refused:
        print("nothing that has changed was overwritten; --accept does so")
    return int(refused)


if __name__ == "__main__":
    sys.exit(main())
