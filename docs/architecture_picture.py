"""Draw the picture of docs/architecture.md: the packages, and which imports which.

``python docs/architecture_picture.py`` draws it anew from the sources, which are read and not
executed. A room is what the picture has a box for: a folder or a file of `spikebp_plugins`, or an
adapter. It lies one floor above the highest room that it imports. An import that the contract in
pyproject.toml leaves out is left out here too, and so is an arrow whose two ends other arrows join.
The question in a box is that of the page.
"""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from math import fsum
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
CORE: Final = ROOT / "spikebp_plugins"
PAGE: Final = ROOT / "docs" / "architecture.md"
PICTURE: Final = ROOT / "docs" / "architecture.svg"

BOX_WIDTH, BOX_HEIGHT, LANE_WIDTH, GAP, SNAP = 196, 82, 20, 24, 44
FLOOR_HEIGHT, MARGIN, PORT_GAP = 140, 26, 24
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Between light and dark: the picture is the same on a light page and on a dark one.
CORE_COLOR, ADAPTER_COLOR, NAME_COLOR, QUESTION_COLOR = "#4b5b9b", "#2f7a80", "#fff", "#e8ebf6"
LINE_COLOR: Final = "#8590a6"

#: The rooms that each room imports.
Arrows = dict[str, set[str]]


class Lane(NamedTuple):
    """Where an arrow passes a floor."""

    upper: str
    lower: str


Node = str | Lane
#: The middle of each room and lane, floor by floor, the ground first.
Places = list[dict[Node, float]]


def sources() -> dict[str, ast.Module]:
    """Return what each module says."""
    found = {}
    for package in (CORE, *sorted((ROOT / "adapters").glob("spikebp_*"))):
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each module that is imported, wherever in a file, and what is taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def room_of(module: str) -> str:
    """Return the room of a module; none for the package itself, which only hands on names."""
    package, room, *_ = (*module.split("."), "")
    if package != CORE.name:
        return package
    return f"{room}.py" if (CORE / f"{room}.py").exists() else room


def arrows() -> Arrows:
    """Return all arrows between rooms."""
    trees = sources()
    names = ast.parse((CORE / "__init__.pyi").read_text("utf-8"))
    handed_on = {name: f"{CORE.name}.{module}" for module, name in imports(names)}
    contract = (ROOT / "pyproject.toml").read_text("utf-8")
    left_out = set(re.findall(r'"([\w.]+) -> ([\w.]+)"', contract))
    found: Arrows = {room: set() for room in map(room_of, trees) if room}
    for importer, tree in trees.items():
        for module, name in imports(tree):
            at_top = module == CORE.name
            origin = handed_on.get(name, f"{module}.{name}") if at_top else module
            if importer != CORE.name and (importer, origin) not in left_out:
                found[room_of(importer)].add(room_of(origin))
    return {room: (others & found.keys()) - {room} for room, others in found.items()}


def floors(found: Arrows) -> dict[str, int]:
    """Return the floor of each room, or raise CycleError, which names a circle."""
    floor: dict[str, int] = {}
    for room in TopologicalSorter(found).static_order():
        floor[room] = 1 + max((floor[other] for other in found[room]), default=-1)
    return floor


def needed(found: Arrows) -> Arrows:
    """Return the arrows whose two ends no others join."""

    @cache
    def reached(room: str) -> frozenset[str]:
        return frozenset(found[room]).union(*map(reached, found[room]))

    return {room: others.difference(*map(reached, others)) for room, others in found.items()}


def questions() -> dict[str, str]:
    """Return the question that each room answers, as the page has it."""
    return dict(re.findall(r"^### (\S+)\n\n\*(.+?\?)\*", PAGE.read_text("utf-8"), re.MULTILINE))


class Plan:
    """Where rooms lie and arrows pass: with few crossings, and as straight as they can be.

    Attributes
    ----------
    links : dict of int to list of pairs
        For each floor, which of its rooms and lanes leads to which on the floor below.
    places : Places
        Where they are.
    """

    def __init__(self, found: Arrows) -> None:
        floor = floors(found)
        rows: list[list[Node]] = [[] for _ in range(max(floor.values()) + 1)]
        for room in sorted(floor):
            rows[floor[room]].append(room)
        self.links: dict[int, list[tuple[Node, Node]]] = defaultdict(list)
        for upper, others in sorted(needed(found).items()):
            for lower in sorted(others):
                passed = range(floor[upper] - 1, floor[lower], -1)
                for level in passed:
                    rows[level].append(Lane(upper, lower))
                way: list[Node] = [upper, *(Lane(upper, lower) for _ in passed), lower]
                for level, link in zip((floor[upper], *passed), pairwise(way), strict=True):
                    self.links[level].append(link)
        self.places = min((self._arranged(rows, seed) for seed in range(60)), key=self._cost)

    def _arranged(self, rows: list[list[Node]], seed: int) -> Places:
        """Return the best that sweeps down and up come to from a random order."""
        chance = random.Random(seed)
        places = [_spread([(node, 0.0) for node in chance.sample(row, len(row))]) for row in rows]
        best = places
        for sweep in range(24):
            places = list(places)
            levels = range(len(places))
            for level in levels if sweep % 2 else reversed(levels):
                places[level] = _spread(self._wishes(places, level))
            best = min(best, places, key=self._cost)
        return best

    def _wishes(self, places: Places, level: int) -> list[tuple[Node, float]]:
        """Return the nodes of a floor, from left to right, with where their neighbours are."""
        near: dict[Node, list[float]] = defaultdict(list)
        for upper, lower in self.links[level]:
            near[upper] += _weight(upper, lower) * [places[level - 1][lower]]
        for upper, lower in self.links[level + 1]:
            near[lower] += _weight(upper, lower) * [places[level + 1][upper]]
        wishes = [(node, fmean(near[node] or [x])) for node, x in places[level].items()]
        return sorted(wishes, key=lambda wish: wish[1])

    def _cost(self, places: Places) -> tuple[int, float]:
        """Return how often links cross, and how far they lead to a side."""
        crossings, sideways = 0, []
        for level, links in self.links.items():
            ends = [(places[level][upper], places[level - 1][lower]) for upper, lower in links]
            crossings += sum((a - c) * (b - d) < 0 for a, b in ends for c, d in ends)
            weights = (_weight(*link) for link in links)
            sideways += [w * (a - b) * (a - b) for w, (a, b) in zip(weights, ends, strict=True)]
        return crossings, fsum(sideways)

    def port(self, level: int, node: Node, other: Node) -> float:
        """Return where on a room's edge the link to a neighbour ends: in the order of those."""
        lower = (level - 1, [b for a, b in self.links[level] if a == node])
        upper = (level + 1, [a for a, b in self.links[level + 1] if b == node])
        beside, others = lower if other in lower[1] else upper
        others.sort(key=lambda neighbour: self.places[beside][neighbour])
        return self.places[level][node] + PORT_GAP * (others.index(other) - (len(others) - 1) / 2)


def _width(node: Node) -> int:
    return LANE_WIDTH if isinstance(node, Lane) else BOX_WIDTH


def _weight(upper: Node, lower: Node) -> int:
    """Return how much it matters that a link is straight: most for one between two lanes."""
    return int(16 ** (isinstance(upper, Lane) + isinstance(lower, Lane)))


def _spread(wishes: list[tuple[Node, float]]) -> dict[Node, float]:
    """Return places in the order of the wishes, as near to these as can be without overlap."""
    offset, offsets = 0.0, []
    groups: list[list[float]] = []
    for node, wish in wishes:
        offset += _width(node) / 2
        offsets.append(offset)
        groups.append([wish - offset])
        offset += _width(node) / 2 + GAP
        # Those that would overlap stand side by side, in the mean of where each would have them.
        while len(groups) > 1 and fmean(groups[-2]) > fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    shifts = [SNAP * round(fmean(group) / SNAP) for group in groups for _ in group]
    rooms = (node for node, _ in wishes)
    return {node: a + b for node, a, b in zip(rooms, shifts, offsets, strict=True)}


def picture() -> str:
    """Return the picture as SVG."""
    plan, asked = Plan(arrows()), questions()
    edges = [
        x + side * _width(node) / 2
        for row in plan.places
        for node, x in row.items()
        for side in (-1, 1)
    ]
    left, width = min(edges) - MARGIN, round(max(edges) - min(edges)) + 2 * MARGIN
    n_floors = len(plan.places)

    def top(level: int) -> int:
        """Return where boxes of a floor begin."""
        return FLOOR_HEIGHT * (n_floors - 1 - level) + (FLOOR_HEIGHT - BOX_HEIGHT) // 2

    bands: list[str] = []
    lines: list[str] = []
    boxes: list[str] = []
    for level, row in enumerate(plan.places):
        y = top(level)
        bands.append(
            f'<rect y="{y - 19}" width="{width}" height="{BOX_HEIGHT + 38}" rx="14" '
            f'fill="{LINE_COLOR}" fill-opacity=".11"/>'
        )
        for upper, lower in plan.links[level]:
            start = round(plan.port(level, upper, lower) - left)
            end = round(plan.port(level - 1, lower, upper) - left)
            begin, stop = y + BOX_HEIGHT, top(level - 1)
            bend = (begin + stop) // 2
            passing = f"{y} V{begin}" if isinstance(upper, Lane) else f"{begin}"
            tip = "" if isinstance(lower, Lane) else ' marker-end="url(#head)"'
            lines.append(
                f'<path d="M{start},{passing} C{start},{bend} {end},{bend} {end},{stop}"{tip}/>'
            )
        for node, place in row.items():
            if not isinstance(node, Lane):
                boxes += _box(node, asked[node], round(place - left), y)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {FLOOR_HEIGHT * n_floors}" '
        f'width="{width}" role="img" font-family="{FONT}">'
    )
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 Z" '
        f'fill="{LINE_COLOR}"/></marker>'
    )
    parts = (
        opening,
        "<title>The packages, and which imports which</title>",
        head,
        *bands,
        f'<g fill="none" stroke="{LINE_COLOR}" stroke-width="1.6">',
        *lines,
        '</g><g text-anchor="middle">',
        *boxes,
        "</g></svg>",
    )
    return "\n".join(parts) + "\n"


def _box(room: str, question: str, middle: int, y: int) -> Iterator[str]:
    """Yield the box of a room: its name, and its question in lines of about the same length."""
    color = ADAPTER_COLOR if room.startswith("spikebp_") else CORE_COLOR
    yield (
        f'<rect x="{middle - BOX_WIDTH // 2}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="10" fill="{color}"/>'
    )
    texts = min(
        (textwrap.wrap(question, n, break_on_hyphens=False) for n in range(12, 22)),
        key=lambda texts: (len(texts), max(map(len, texts))),
    )
    y += BOX_HEIGHT // 2 + 6 - 10 * len(texts)
    yield (
        f'<text x="{middle}" y="{y}" font-size="19" font-weight="600" fill="{NAME_COLOR}">'
        f"{escape(room)}</text>"
    )
    for i, text in enumerate(texts, 1):
        yield (
            f'<text x="{middle}" y="{y + 3 + 19 * i}" font-size="15" fill="{QUESTION_COLOR}">'
            f"{escape(text)}</text>"
        )


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
