"""Makes one file of a network in which it goes on learning, in any browser and with no connection.

``python examples/browser/make_page.py digits.npz digits.html`` takes a checkpoint. It compiles the
network in C to WebAssembly, for which it needs ``ziglang``. Images of 28 x 28 and 8 x 8 pixels are
drawn; other input is set by a slider for each feature, or comes from rows of a table.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from spikebp_plugins import Checkpoint, to_c
from spikebp_plugins.embedded import CProgram, to_state_bytes

HERE = Path(__file__).parent

#: The sides of images that the page can draw, by their pixels.
SIDES = {28 * 28: 28, 8 * 8: 8}

#: Without a system there is no library. Its two functions that are used are instructions here.
STRING_H = """\
#include <stddef.h>
#define memcpy __builtin_memcpy
#define memset __builtin_memset
"""
COMPILE = (
    *("-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-mcpu=baseline+bulk_memory"),
    *("-std=c99", "-O3", "-g0", "-nostdlib", "-I.", "-Wl,--no-entry", "-Wl,-z,stack-size=65536"),
)


def compiled(program: CProgram) -> bytes:
    """Return a network, and what a page needs of it, as WebAssembly.

    Raises
    ------
    RuntimeError
        If there is no ``ziglang``, or it refuses the program.
    """
    if find_spec("ziglang") is None:
        raise RuntimeError("a page needs ziglang to be made: `pip install ziglang` brings it")
    with TemporaryDirectory(prefix="spikebp-") as folder:
        program.save(folder)
        Path(folder, "string.h").write_text(STRING_H, "utf-8")
        command = [sys.executable, *COMPILE, str(HERE / "page.c"), "-o", "page.wasm"]
        # What zig keeps for the next time goes with the folder.
        caches = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
        done = subprocess.run(
            command, cwd=folder, env=os.environ | caches, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"ziglang has refused the program: {done.stderr.strip()}")
        return Path(folder, "page.wasm").read_bytes()


def page_of(
    checkpoint: Checkpoint,
    classes: list[str] | None = None,
    features: list[str] | None = None,
    limits: tuple[float, float] | None = None,
    weight_bits: int | None = None,
) -> str:
    """Return the page of a network.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network, whose input is values, and what it has learned.
    classes, features : list of str or None, optional
        Names of the outputs and of the inputs, which are numbered by default. Where inputs have
        names, each has a slider, also in an image.
    limits : tuple of two floats or None, optional
        Where the sliders end; by default at 0, and at what stands for 1.
    weight_bits : {16, 32, 64} or None, default=None
        Bits of a weight; None takes the fewest with room to learn.

    Raises
    ------
    ValueError
        If input is not values, or there are not as many names as units.
    RuntimeError
        If the network cannot be compiled.
    """
    net = checkpoint.net
    if net.input_coding != "values":
        raise ValueError(f"a page takes input_coding='values'; got {net.input_coding!r}")
    for name, given, n in ("classes", classes, net.n_outputs), ("features", features, net.n_inputs):
        if given is not None and len(given) != n:
            raise ValueError(f"{name} must be {n} names; got {len(given)}")
    program = to_c(checkpoint, weight_bits)
    low, high = (0, 1 / net.input_scale) if limits is None else limits
    known = {
        "layers": net.layer_sizes,
        "steps": net.n_steps,
        "synapses": sum(connection.n_synapses for connection in net.connections),
        "factor": net.input_factor,
        "target": net.label_targets[1],
        "low": low,
        "high": high,
        "side": SIDES.get(net.n_inputs) if features is None else None,
        "classes": classes or [str(i) for i in range(net.n_outputs)],
        "features": features or [f"input {i + 1}" for i in range(net.n_inputs)],
        "state_size": len(to_state_bytes(checkpoint, weight_bits)),
        "program": b64encode(compiled(program)).decode(),
    }
    parts = {name: (HERE / name).read_text("utf-8") for name in ("page.css", "page.js")}
    # Within a page "</script>" would end the data, wherever it stands.
    parts["network"] = json.dumps(known).replace("<", "\\u003c")
    page = (HERE / "page.html").read_text("utf-8")
    return re.sub(r"@([\w.]+)@", lambda place: parts[place[1]], page)


def main() -> None:
    """Make the page that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = {"type": lambda text: text.split(","), "metavar": "A,B,..."}
    parser.add_argument("checkpoint", help="file written by `spikebp train --save`")
    parser.add_argument("page", type=Path, help="the file to write")
    parser.add_argument("--classes", **names, help="names of the outputs")
    parser.add_argument("--features", **names, help="names of the inputs, which get sliders")
    parser.add_argument("--limits", type=float, nargs=2, help="where the sliders end")
    parser.add_argument("--weight-bits", type=int, help="16, 32 or 64")
    given = vars(parser.parse_args())
    path = given.pop("page")
    try:
        page = page_of(Checkpoint.load(given.pop("checkpoint")), **given)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
    path.write_text(page, "utf-8")
    print(f"{path}: {len(page.encode()):,} bytes")


if __name__ == "__main__":
    main()
