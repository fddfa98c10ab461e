"""Make the golden runs anew: ``python -m tests.golden [--accept]``."""

import argparse
import sys
import tempfile
from pathlib import Path

from spikebp_plugins import compare
from tests.golden import CASES_KEPT, FOLDER, Golden, make, read


def differences(name, folder):
    """Yield the files of a run that differ from the kept ones."""
    for part in Golden._fields:
        file = f"{name}/{part}.npz"
        if (folder / file).read_bytes() != (FOLDER / file).read_bytes():
            yield file


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="overwrite what has changed")
    options = parser.parse_args()
    refused = False
    for name, case in CASES_KEPT.items():
        golden = make(case)
        with tempfile.TemporaryDirectory() as folder:
            golden.save(Path(folder) / name)
            if not (FOLDER / name).exists():
                print(f"{name}: new")
            elif not (changed := list(differences(name, Path(folder)))):
                continue
            else:
                kept = read(name)
                where = compare(golden.training, kept.training)
                print(f"{name}: {', '.join(changed)} changed; now and before: {where}")
                if not options.accept:
                    refused = True
                    continue
        golden.save(FOLDER / name)
    if refused:
        print("nothing that has changed was overwritten; --accept does so")
    return int(refused)


if __name__ == "__main__":
    sys.exit(main())
