"""Makes one file of a network in which it goes on learning, in any browser and with no connection.

``python examples/browser/make_page.py model.npz`` takes a checkpoint, or a classifier. It compiles
the network in C to WebAssembly, for which it needs ``ziglang``. Images of 28 x 28 and 8 x 8 pixels
are drawn; other input is set by a field for each column, or comes from rows of a table.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spikebp_plugins import Checkpoint, to_c
from spikebp_plugins.data.tables import GAPS, CategoryColumn, NumberColumn
from spikebp_plugins.embedded import CProgram, to_state_bytes

HERE = Path(__file__).parent

#: The sides of images that the page can draw, by their pixels.
SIDES = {28 * 28: 28, 8 * 8: 8}
#: The least and the largest pixel of data sets with such images, for a classifier, which takes any.
LIMITS = {28 * 28: (0, 255), 8 * 8: (0, 16)}

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


def column_of(column: NumberColumn | CategoryColumn) -> dict[str, Any]:
    """Return how a column is set, and how its cells become features, as a table makes them."""
    if isinstance(column, CategoryColumn):
        first = column.categories[0]
        return {
            "name": column.name,
            "categories": column.categories,
            "usual": first,
            "present": column.features([first]).max(),
        }
    times, over = (10.0 ** max(0, places) for places in (column.decimals, -column.decimals))
    return {
        "name": column.name,
        "low": column.low,
        "high": column.high,
        "step": over / times,
        "usual": column.usual * over / times,
        "times": times,
        "over": over,
        "missing": column.features([""])[0].tolist(),
    }


def inputs_of(
    learned: Any, features: Sequence[str] | None, limits: tuple[float, float] | None
) -> dict[str, Any]:
    """Return how the input is set: by drawing an image, or in a field for each column.

    Raises
    ------
    ValueError
        If there are not as many names as inputs, or limits are missing or out of place.
    """
    if (table := getattr(learned, "table_", None)) is not None:
        if features is not None or limits is not None:
            raise ValueError("features and limits must be left out: they are those of the table")
        columns = list(map(column_of, table.columns))
        return {"side": None, "columns": columns, "gaps": sorted(GAPS), "target": table.target}
    is_checkpoint = isinstance(learned, Checkpoint)
    n = learned.net.n_inputs if is_checkpoint else learned.n_features_in_
    if limits is None:
        limits = (0, 1 / learned.net.input_scale) if is_checkpoint else LIMITS.get(n)
    if limits is None:
        raise ValueError("limits must be given for a classifier of numbers, which may be any")
    low, high = limits
    if not low < high:
        raise ValueError(f"limits must be two numbers, the smaller one first; got {low}, {high}")
    times = learned.net.input_factor if is_checkpoint else 1
    if features is None and n in SIDES:
        image = {"side": SIDES[n], "high": high, "times": times, "over": 1, "missing": [0]}
        return {**image, "columns": [], "gaps": [], "target": "class"}
    names = getattr(learned, "feature_names_in_", None) if features is None else features
    names = [f"input {i + 1}" for i in range(n)] if names is None else names
    if len(names) != n:
        raise ValueError(f"features must be {n} names; got {len(names)}")
    middle = (low + high) / 2
    columns = [column_of(NumberColumn(name, 0, low, high, middle, False)) for name in names]
    if is_checkpoint:  # whose input is any number, and not whole ones alone
        step = 10.0 ** (math.floor(math.log10(high - low)) - 3)
        columns = [column | {"times": times, "step": step} for column in columns]
    return {"side": None, "columns": columns, "gaps": [], "target": "class"}


def page_of(
    learned: Any,
    classes: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    weight_bits: int | None = None,
) -> str:
    """Return the page of a network.

    Parameters
    ----------
    learned : Checkpoint or SpikingMLPClassifier
        The network, whose input is values, and what it has learned; or a classifier, whose features
        are whole numbers.
    classes, features : sequence of str or None, optional
        Names of the outputs and of the inputs. By default they are those that a classifier has, or
        numbers. Where inputs have names, each has a field of its own, also in an image.
    limits : tuple of two floats or None, optional
        Where the sliders end, and the largest pixel. By default they are 0 and what stands for 1;
        for a classifier of images, 0 and 16 with 8 x 8 pixels, or 255 with 28 x 28.
    weight_bits : {16, 32, 64} or None, default=None
        Bits of a weight; None takes the fewest with room to learn.

    Raises
    ------
    ValueError
        If input is not values, there are not as many names as units, or limits are missing.
    RuntimeError
        If the network cannot be compiled.
    """
    is_checkpoint = isinstance(learned, Checkpoint)
    if is_checkpoint and learned.net.input_coding != "values":
        raise ValueError(f"a page takes input_coding='values'; got {learned.net.input_coding!r}")
    program = to_c(learned, weight_bits, incremental=is_checkpoint)
    net = (learned if is_checkpoint else learned.checkpoint_).net
    names = range(net.n_outputs) if is_checkpoint else learned.classes_
    classes = list(map(str, names)) if classes is None else classes
    if len(classes) != net.n_outputs:
        raise ValueError(f"classes must be {net.n_outputs} names; got {len(classes)}")
    state = to_state_bytes(learned, weight_bits)
    known = {
        "layers": net.layer_sizes,
        "steps": net.n_steps,
        "synapses": sum(connection.n_synapses for connection in net.connections),
        "asked": net.label_targets[1],
        "classes": classes,
        "state_size": len(state),
        **inputs_of(learned, features, limits),
    }
    # The browser keeps what was taught by this, apart from what was taught to any other network.
    known["key"] = sha256(repr((net, classes)).encode() + state).hexdigest()
    known["program"] = b64encode(compiled(program)).decode()
    parts = {name: (HERE / name).read_text("utf-8") for name in ("page.css", "page.js")}
    parts |= static_parts(known)
    # Within a page "</script>" would end the data, wherever it stands.
    parts["network"] = json.dumps(known).replace("<", "\\u003c")
    page = (HERE / "page.html").read_text("utf-8")
    return re.sub(r"@([\w.]+)@", lambda place: parts[place[1]], page)


def bars(names: Sequence[str]) -> list[str]:
    """Return a row for each name, with a bar and a number."""
    track = '<span class="track"><span class="bar"></span></span>'
    return [
        f'<li><span>{escape(name)}</span>{track}<span class="number"></span></li>' for name in names
    ]


def field_of(column: dict[str, Any], i: int) -> str:
    """Return the field of a column: a choice, or a slider and a field in which to type."""
    name = escape(column["name"])
    if "categories" in column:
        names = map(escape, column["categories"])
        options = (f'<option value="{one}">{one or "missing"}</option>' for one in names)
        field = f'<select id="column-{i}">{"".join(options)}</select>'
    else:
        ends = 'min="{low}" max="{high}" step="{step}"'.format_map(column)
        hidden = "" if len(column["missing"]) > 1 else "hidden"
        gap = f'<input type="checkbox" aria-label="{name} is missing">'
        field = (
            f'<input type="range" id="column-{i}" {ends}>'
            f'<input type="number" step="{column["step"]}" aria-label="{name}">'
            f"<label {hidden}>{gap} missing</label>"
        )
    return f'<div class="column"><label for="column-{i}">{name}</label>{field}</div>'


def strip_of(name: str, layer: int, size: int, height: float) -> str:
    """Return the strip of a layer, whose canvas has twice the pixels that a desktop shows."""
    says = f"{name}, {size} units: <span></span>"
    pixels = f'width="1600" height="{2 * height:.0f}" style="height: {height:.0f}px"'
    canvas = f'<canvas role="img" aria-labelledby="layer-{layer}" {pixels}></canvas>'
    return f'<div><p id="layer-{layer}">{says}</p>{canvas}</div>'


def static_parts(known: dict[str, Any]) -> dict[str, str]:
    """Return what the page has for each class, column and layer, and what it says of them."""
    classes, columns, layers = known["classes"], known["columns"], known["layers"]
    names = ["Input", *(f"Layer {l}" for l in range(1, len(layers) - 1)), "Output"]
    height = min(12, max(4, 110 / known["steps"])) * known["steps"]
    strips = [
        strip_of(name, l, size, height)
        for l, (name, size) in enumerate(zip(names, layers, strict=True))
    ]
    buttons = [
        f'<button type="button" aria-label="That was {name}">{name}</button>'
        for name in map(escape, classes)
    ]
    are_digits = all(len(name) == 1 and name.isdigit() for name in classes)
    row = ", ".join(column["name"] for column in columns)
    lists = {
        "scores": bars(classes),
        "costs": bars(["Additions", "Multiply-adds", "A dense network"]),
        "fields": [field_of(column, i) for i, column in enumerate(columns)],
        "buttons": buttons,
        "strips": strips,
    }
    return {
        "units": "–".join(map(str, layers)),
        "kind": "drawing" if known["side"] else "form",
        "invitation": "Draw a digit here" if are_digits else "Draw here",
        "row": escape(f"{row}; and, to teach it, {known['target']}:"),
        **{name: "\n".join(parts) for name, parts in lists.items()},
    }


def main() -> None:
    """Make the page that the command line asks for."""
    # The site, which calls page_of, is built without the command line's libraries.
    from spikebp_plugins.cli.export_c import learned_in

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = {"type": lambda text: text.split(","), "metavar": "A,B,..."}
    parser.add_argument(
        "model", type=Path, help="file of `spikebp train --save`, or of a classifier"
    )
    parser.add_argument(
        "page",
        type=Path,
        nargs="?",
        help="the file to write, by default in this folder",
    )
    parser.add_argument("--classes", **names, help="names of the outputs")
    parser.add_argument("--features", **names, help="names of the inputs, which get fields")
    parser.add_argument("--limits", type=float, nargs=2, help="where the sliders end")
    parser.add_argument("--weight-bits", type=int, help="16, 32 or 64")
    given = vars(parser.parse_args())
    model, path = given.pop("model"), given.pop("page")
    path = path or Path(f"{model.stem}.html")
    try:
        page = page_of(learned_in(model), **given)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
    path.write_text(page, "utf-8")
    print(f"{path}: {len(page.encode()):,} bytes")


if __name__ == "__main__":
    main()
