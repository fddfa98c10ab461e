"""A network learns in a page of a browser, with the integers of the reference."""

import json
import re
import warnings
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import (
    Conv2D,
    Dense,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    SpikingMLPRegressor,
    SpikingNetwork,
    load_dataset,
)
from spikebp_plugins.data.tables import Table, TableFile
from spikebp_plugins.embedded import from_state_bytes, to_state_bytes
from tests.browser import CHROMIUM, Browser
from tests.core.small_nets import checkpoint_bytes, lively_simulator, samples, small_net
from tests.core.test_cli import run as spikebp
from tests.core.test_features_in_c import assert_same_classifiers
from tests.documentation import ROOT, sections
from tests.scripts import loaded

make_page = loaded(ROOT / "examples" / "browser" / "make_page.py")
site = loaded(ROOT / "docs" / "browser_pages.py")

pytestmark = pytest.mark.xdist_group("browser")  # one browser for all
makes_pages = pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang is not installed")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("ziglang") is None,
    reason="chromium is not found" if CHROMIUM is None else "ziglang is not installed",
)

DIGITS = site.DIGITS.replace(layer_sizes=(64, 30, 20, 10))
VECTORS = small_net((3, 5, 4, 2), fraction_bits=12)
KERNELS = SpikingNetwork.paper(
    (8, 8), [Conv2D(4, 3, stride=2), Dense(10)], n_steps=4, fraction_bits=14, input_scale=1 / 16
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """A browser whose pages fetch nothing but themselves, and complain of nothing."""
    chromium.requests, chromium.said, chromium.opened = [], [], 0
    chromium.asked, chromium.answer = [], True
    yield chromium
    chromium.run("localStorage.clear()")
    assert chromium.said == []
    assert [Path(url).name for url in chromium.requests] == ["page.html"] * chromium.opened
    assert chromium.opened > 0


def opened(browser, folder, checkpoint, **options):
    """Open the page of a checkpoint."""
    path = folder / "page.html"
    path.write_text(make_page.page_of(checkpoint, **options), "utf-8")
    browser.open(path)


def digits(n):
    data = load_dataset("digits", raw=True)
    return data.x_train[:n].astype(int), data.y_train[:n].astype(int)


@pytest.fixture(scope="module")
def trained():
    sim = Simulator(DIGITS)
    sim.train(*digits(1400))
    return sim.checkpoint()


def shown(browser, x, y):
    """Show samples by the page's own function, and learn from each; return what it returns."""
    pairs = json.dumps([(row, int(label)) for row, label in zip(x.tolist(), y, strict=True)])
    return browser.run(f"{pairs}.map(([x, label]) => [show(x), show(x, label)])")


def learned(browser, before):
    """Return the checkpoint that a page has come to."""
    return from_state_bytes(bytes(browser.run("Array.from(savedBytes())")), before)


def assert_same_costs(found, sim):
    costs = [sample["costs"] for pair in found for sample in pair]
    operations = sim.operations
    expected = [operations.total, operations.multiply_adds, operations.dense]
    assert np.sum(costs, axis=0).tolist() == expected


@in_a_browser
@pytest.mark.parametrize(
    ("net", "bits", "n"),
    [
        (DIGITS, 16, 200),
        (SpikingMLP((64, 20, 10), input_scale=1 / 16), 32, 20),
        (SpikingMLP.graded((64, 20, 10), input_scale=1 / 16, fraction_bits=16), 32, 20),
        (VECTORS.replace(spikes="binary", label_targets=(0, 1)), 16, 20),
        (VECTORS.replace(feedback="random"), 64, 20),
        (KERNELS, 16, 20),
    ],
    ids=["digits", "normalized", "one step", "binary", "64 bits", "kernels"],
)
def test_a_page_learns_the_integers_of_the_reference(browser, tmp_path, net, bits, n):
    is_image = net.n_inputs == 64
    x, y = digits(n) if is_image else samples(net, n)
    before = (Simulator(net) if is_image else lively_simulator(net)).checkpoint()
    opened(browser, tmp_path, before, weight_bits=bits)
    found = shown(browser, x, y)
    sim = Simulator.from_checkpoint(before, "reference")
    for i, pair in enumerate(found):
        predicted = sim.predict(x[i : i + 1], record=True)
        taught = sim.train(x[i : i + 1], y[i : i + 1], record=True)
        for sample, trace in zip(pair, (predicted, taught), strict=True):
            assert sample["scores"] == trace.scores[0].tolist()
            expected = [counts[0].tolist() for counts in trace.spikes]
            assert sample["spikes"] == expected
        assert pair[1]["errors"] == [counts[0].tolist() for counts in taught.errors[1:]]
        assert not np.any([np.any(layer) for layer in pair[0]["errors"]])
    assert all(any(np.any(pair[1]["errors"][l]) for pair in found) for l in range(net.n_layers))
    assert checkpoint_bytes(learned(browser, before)) == checkpoint_bytes(sim)
    assert_same_costs(found, sim)


@in_a_browser
def test_pipelined_spikes_end_in_the_same_weights(browser, tmp_path):
    net = VECTORS.replace(timing="pipelined")
    x, y = samples(net, 20)
    before = Simulator(net).checkpoint()
    opened(browser, tmp_path, before)
    found = shown(browser, x, y)
    sim = Simulator.from_checkpoint(before)
    sim.train(x, y)
    assert len(found[0][1]["spikes"][0]) > len(found[0][0]["spikes"][0]) == net.n_steps
    assert checkpoint_bytes(learned(browser, before)) == checkpoint_bytes(sim)


PHONE = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}


def on_a_screen(browser, screen):
    """Go to a screen, and to fingers if it is that of a telephone; None is that of a machine."""
    if screen is None:
        browser.call("Emulation.clearDeviceMetricsOverride")
    else:
        browser.call("Emulation.setDeviceMetricsOverride", **screen)
    browser.call("Emulation.setTouchEmulationEnabled", enabled=screen == PHONE)


def loaded_from(browser, path):
    """Load a file, and return what the page says then."""
    browser.run("say('')")
    browser.choose("load", path)
    while not (said := browser.run("byId('status').textContent")):
        pass
    return said


@in_a_browser
def test_what_was_saved_goes_on_everywhere_and_after_a_reload(browser, tmp_path, trained):
    x, y = digits(60)
    opened(browser, tmp_path, trained)
    shown(browser, x[:20], y[:20])
    where = {"downloadPath": str(tmp_path), "eventsEnabled": True}
    browser.call("Browser.setDownloadBehavior", behavior="allow", **where)
    browser.run("byId('save').click()")
    browser.wait_for("Browser.downloadProgress", state="completed")
    saved, start, end = (tmp_path / name for name in ("learned.bin", "start.npz", "end.npz"))
    trained.save(start)
    spikebp("import-c", str(saved), "--checkpoint", str(start), "--output", str(end))
    after = learned(browser, trained)
    assert end.read_bytes() == checkpoint_bytes(after)

    browser.open(tmp_path / "page.html")
    assert checkpoint_bytes(learned(browser, trained)) == checkpoint_bytes(trained)
    assert loaded_from(browser, saved) == "Loaded learned.bin."
    shown(browser, x[20:], y[20:])
    for backend in ("reference", "compiled"):
        sim = Simulator.from_checkpoint(after, backend)
        sim.train(x[20:], y[20:])
        assert checkpoint_bytes(learned(browser, trained)) == checkpoint_bytes(sim)


@in_a_browser
def test_states_of_the_site_are_taken_by_their_own_page(browser, tmp_path):
    for name, checkpoint in site.checkpoints():
        opened(browser, tmp_path, Simulator(checkpoint.net).checkpoint(), weight_bits=16)
        for other in site.NETWORKS:
            said = loaded_from(browser, site.STATES / f"{other}.bin")
            assert said.startswith("Loaded" if other == name else f"{other}.bin is damaged")
        assert checkpoint_bytes(learned(browser, checkpoint)) == checkpoint_bytes(checkpoint)


@in_a_browser
def test_a_damaged_file_is_refused_and_changes_nothing(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    good = bytes(browser.run("Array.from(savedBytes())"))
    shown(browser, *digits(3))
    before = browser.run("present()")
    flipped = bytearray(good)
    flipped[1000] ^= 1
    key = bytearray(good)
    key[9] ^= 1
    for data in (flipped, key, good[:-1], good + b"\0", b""):
        (tmp_path / "bad.bin").write_bytes(data)
        said = loaded_from(browser, tmp_path / "bad.bin")
        assert said == "bad.bin is damaged, or of another network: nothing was changed."
        assert browser.run("present()") == before
        assert browser.run("byId('undo').disabled")


def place_of_field(browser):
    return browser.run(
        "(({x, y, width, height}) => [x, y, width, height])(byId('field').getBoundingClientRect())"
    )


def drawn(browser, *points):
    """Draw a line with the mouse, between places of the field from 0 to 1."""
    left, top, width, height = place_of_field(browser)
    places = [(left + width * x, top + height * y) for x, y in points]
    kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
    for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
        )


ONE = ((0.5, 0.2), (0.5, 0.5), (0.5, 0.8))
SEVEN = ((0.3, 0.2), (0.7, 0.2), (0.45, 0.8))


@in_a_browser
@pytest.mark.parametrize(("name", "side"), [("digits", 8), ("mnist", 28)])
def test_drawings_are_known_wherever_they_are(browser, tmp_path, name, side):
    opened(browser, tmp_path, dict(site.checkpoints())[name])
    empty = browser.run("said.scores")
    for digit, line in ((1, ONE), (7, SEVEN)):
        images = []
        for size, at in ((1, 0), (0.4, 0.3)):
            browser.run("byId('clear').click()")
            assert browser.run("said.scores") == empty
            drawn(browser, *((x * size + at, y * size + at) for x, y in line))
            images.append(np.reshape(browser.run("input.values()"), (side, side)))
            scores = browser.run("said.scores")
            assert np.argmax(scores) == digit
            assert scores != empty
            assert f"It says {digit} " in browser.run("byId('verdict').textContent")
        assert np.abs(images[0] - images[1]).max() < 0.3 * images[0].max()  # pixels are rounded


@in_a_browser
def test_lessons_teach_are_watched_and_undone(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    at_first = browser.run("Array.from(savedBytes())")
    for button in ("byId('teach').children[4]", "byId('keep')"):
        browser.run(f"say(''); {button}.click()")
        assert browser.run("byId('status').textContent") == "Draw something first."
    assert browser.run("Array.from(savedBytes())") == at_first
    assert browser.run("kept.length") == 0
    drawn(browser, *ONE)
    browser.run("byId('keep').click()")
    first = browser.run("best(said.scores)")
    assert first != 4
    states = []
    for n in range(1, 9):
        states.append(browser.run("Array.from(savedBytes())"))
        browser.run("byId('teach').children[4].click()")
        assert browser.run("program.samples_seen()") == trained.state.samples_seen + n
    assert browser.run("best(said.scores)") == 4
    assert browser.run("byId('status').textContent").endswith("now says 4.")
    assert "errors" in browser.run("byId('raster').textContent")
    kept = browser.run("Array.from(byId('kept').children, item => item.textContent)")
    assert kept == [f"{first} → 4 ✗", "4 → 4 ✓ ×8"]
    for state in states[:3:-1]:
        browser.run("byId('undo').click()")
        assert browser.run("Array.from(savedBytes())") == state
    assert browser.run("kept.map(({ times }) => times)") == [0, 4]
    browser.answer = False
    browser.run("byId('forget').click()")
    assert browser.run("Array.from(savedBytes())") == states[4]
    assert browser.run("kept.length") == 2
    browser.answer = True
    browser.run("byId('forget').click()")
    assert browser.asked == ["Forget all that was taught and kept?"] * 2
    assert browser.run("Array.from(savedBytes())") == at_first
    assert browser.run("byId('kept').children.length") == 0
    assert browser.run("byId('undo').disabled")


@in_a_browser
def test_a_lesson_that_leaves_its_type_is_undone(browser, tmp_path):
    net = small_net((3, 5, 2), fraction_bits=14, learning_rate=8, label_targets=(0, 900))
    opened(browser, tmp_path, Simulator(net).checkpoint())
    before = browser.run("Array.from(savedBytes())")
    browser.run("input.set([900, 900, 900]); byId('teach').children[1].click()")
    assert browser.run("byId('status').textContent").startswith("1 undone")
    assert browser.run("Array.from(savedBytes())") == before
    assert browser.run("byId('undo').disabled")


def pressed(browser, *keys):
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            code = 9 if key == "Tab" else 0
            browser.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)


@in_a_browser
def test_keys_and_screen_readers_reach_all_of_it(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    drawn(browser, *ONE)
    browser.run("byId('keep').click(); byId('clear').click(); document.activeElement.blur()")
    reached = set()
    for _ in range(20):
        pressed(browser, "Tab")
        reached.add(browser.run("document.activeElement.outerHTML"))
    reachable = browser.run(
        "Array.from(document.querySelectorAll('button:enabled, input, #field'))"
        ".filter((it) => it.offsetParent).map((it) => it.outerHTML)"
    )
    assert reached >= set(reachable)
    assert len(reached) > 15
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "application", "image", "group"}
    named = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert {node["role"]["value"] for node in named} == roles
    assert all(node["name"]["value"] for node in named)
    (field,) = [node for node in named if node["role"]["value"] == "application"]
    assert "arrows move the pen" in field["description"]["value"]

    browser.run("byId('field').focus()")
    pressed(browser, " ", *["ArrowDown"] * 10, " ")
    assert browser.run("byId('status').textContent") == "The pen is up."
    pressed(browser, "ArrowRight")
    image = np.reshape(browser.run("input.values()"), (8, 8))
    assert image[1:7, 3:5].all()
    assert not image[:, [0, 1, 6, 7]].any()  # a line down the middle
    assert browser.run("best(show(input.values()).scores) === best(said.scores)")
    pressed(browser, "Delete")
    assert not np.any(browser.run("input.values()"))


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_all_of_it_in_either_light(browser, tmp_path, trained, scheme):
    on_a_screen(browser, PHONE)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    opened(browser, tmp_path, trained)
    assert browser.run("document.documentElement.scrollWidth") == 360
    heights = "Array.from(document.querySelectorAll('button'), it => it.offsetHeight)"
    shown_heights = [height for height in browser.run(heights) if height > 0]
    assert len(shown_heights) > 10
    assert min(shown_heights) >= 40
    luminance = {name: luminance_of(browser.run(f"colour('--{name}')")) for name in COLOURS}
    for front in ("text", "quiet"):
        for back in ("back", "surface"):
            low, high = sorted([luminance[front], luminance[back]])
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert (luminance["back"] < luminance["text"]) == (scheme == "dark")
    finger = "Input.dispatchTouchEvent"
    left, top, width, height = place_of_field(browser)
    middle = left + width / 2
    second = {"x": left + 9, "y": top + 9, "id": 1}  # which does not draw
    for kind, y in (("touchStart", 0.3), ("touchMove", 0.5), ("touchMove", 0.7)):
        first = {"x": middle, "y": top + height * y, "id": 0}
        points = [first] if kind == "touchStart" else [first, second]
        browser.call(finger, type=kind, touchPoints=points)
    browser.call(finger, type="touchEnd", touchPoints=[])
    image = np.reshape(browser.run("input.values()"), (8, 8))
    assert image[1:7, 3:5].all()
    assert not image[:, [0, 1, 6, 7]].any()  # a line down the middle
    on_a_screen(browser, None)


COLOURS = ("text", "quiet", "back", "surface")


def luminance_of(colour):
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    digits = colour.strip()[1:]
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@in_a_browser
def test_vectors_have_sliders_and_come_from_tables(browser, tmp_path):
    before = Simulator(VECTORS).checkpoint()
    names = {"classes": ["no", "yes"], "features": ["a", "b", "c"]}
    opened(browser, tmp_path, before, limits=(-1, 2), **names)
    assert browser.run("input.values()") == [0.5] * 3
    set_field(browser, "#column-1", "1.5")
    assert browser.run("input.values()") == [0.5, 1.5, 0.5]

    for text in ("1, 2", "1, 2, x", "1, 2,3\n4", "1,,3"):
        assert re.fullmatch(r"Row [12] has no number for [bc]\.", pasted(browser, text, "next-row"))
    assert pasted(browser, "0.1\t0.7\t2.123456789\tyes\n9, 8, 7, no\n", "next-row") == ""
    assert browser.run("input.values()") == [0.1, 0.7, 2.123456789]
    said = pasted(browser, "0.1,0.7,2.123456789,yes", "teach-rows")
    assert said.startswith("Taught as yes. ")
    assert pasted(browser, "1, 2, 3\n", "teach-rows") == "Row 1 has no class: no, yes."
    x, y = samples(VECTORS, 30)
    table = "".join(f"{a!r}; {b!r}; {c!r}; {['no', 'yes'][label]}\n"
        for (a, b, c), label in zip(x.tolist(), y, strict=True))  # fmt: skip
    assert pasted(browser, table, "teach-rows").startswith("Taught 30 rows. ")
    sim = Simulator.from_checkpoint(before)
    sim.train([[0.1, 0.7, 2.123456789], *x], [1, *y])
    assert checkpoint_bytes(learned(browser, before)) == checkpoint_bytes(sim)


def set_field(browser, selector, text):
    """Set a field as a user does, and leave it."""
    browser.run(
        f"(field => {{ field.value = {json.dumps(text)}; "
        "for (const type of ['input', 'change']) "
        f"field.dispatchEvent(new Event(type, {{ bubbles: true }})) }})"
        f"(document.querySelector({json.dumps(selector)}))"
    )


def pasted(browser, text, button):
    """Paste rows, and return what the page says after a button was pressed."""
    browser.run(
        f"byId('rows').value = {json.dumps(text)}; say(''); "
        f"byId('rows').dispatchEvent(new Event('input')); byId('{button}').click()"
    )
    return browser.run("byId('status').textContent")


@in_a_browser
def test_a_sample_of_the_larger_page_is_learned_in_two_milliseconds(browser, tmp_path):
    opened(browser, tmp_path, dict(site.checkpoints())["mnist"])
    drawn(browser, *SEVEN)
    (code,) = sections("docs/browser.md", "js").values()
    assert 0 < browser.run(code) <= 2


@makes_pages
def test_the_pages_of_the_site_are_small_and_know_digits():
    for name, page in site.pages():
        assert 40_000 < len(page.encode()) < 500_000, name
        assert not re.search(r"https?:", page)
    with dict(site.checkpoints())["digits"].simulate() as sim:
        data = load_dataset("digits", raw=True)
        assert (sim.predict(data.x_test).argmax(1) == data.y_test).mean() > 0.95


@makes_pages
def test_a_checkpoint_becomes_a_page_from_a_shell(tmp_path, trained, monkeypatch, capsys):
    trained.save(tmp_path / "net.npz")
    x, y = digits(20)
    SpikingMLPRegressor((5,)).partial_fit(x, y).save(tmp_path / "regressor.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make_page.py", "net.npz", "net.html"])
    make_page.main()
    assert (tmp_path / "net.html").read_text("utf-8") == make_page.page_of(trained)
    assert capsys.readouterr().out.startswith("net.html: ")
    for argument, message in (
        ("other.npz", r"other\.npz"),
        ("regressor.npz", "must be a Checkpoint or a SpikingMLPClassifier; got SpikingMLPRegr"),
    ):
        monkeypatch.setattr("sys.argv", ["make_page.py", argument])
        with pytest.raises(SystemExit, match=message):
            make_page.main()


@makes_pages
def test_a_table_becomes_a_page_with_the_name_of_its_model(tmp_path, monkeypatch, capsys):
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "iris.npz"
    table = str(ROOT / "examples" / "iris.csv")
    spikebp("train", table, "--target", "species", "--layers", "20", "--save", str(model))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make_page.py", "models/iris.npz"])
    make_page.main()
    page = (tmp_path / "iris.html").read_text("utf-8")
    assert page == make_page.page_of(SpikingMLPClassifier.load(model))
    assert "petal length" in page
    assert capsys.readouterr().out.startswith("iris.html: ")


def test_what_no_page_can_be_made_of_is_refused(monkeypatch, trained, wages):
    checkpoint = Simulator(VECTORS.replace(input_coding="spikes")).checkpoint()
    with pytest.raises(ValueError, match="takes input_coding='values'; got 'spikes'"):
        make_page.page_of(checkpoint)
    with pytest.raises(ValueError, match="classes must be 10 names; got 2"):
        make_page.page_of(trained, classes=["a", "b"])
    with pytest.raises(ValueError, match="features must be 64 names; got 2"):
        make_page.page_of(trained, features=["a", "b"])
    for given in ({"features": ["a"]}, {"limits": (0, 1)}):
        with pytest.raises(ValueError, match="must be left out: they are those of the table"):
            make_page.page_of(wages, **given)
    vectors = SpikingMLPClassifier((5,)).partial_fit([[1, 2]], [0], classes=[0, 1])
    with pytest.raises(ValueError, match="limits must be given for a classifier of numbers"):
        make_page.page_of(vectors)
    for limits in ((1, 1), (1, 0)):
        with pytest.raises(ValueError, match="limits must be two numbers, the smaller one first"):
            make_page.page_of(trained, limits=limits)
    monkeypatch.setattr(make_page, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="pip install ziglang"):
        make_page.page_of(trained)


def test_the_folder_of_the_pages_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "pages", lambda: [("digits.html", "a page")])
    for _ in range(2):
        site.save(tmp_path / "site" / "pages")
    assert (tmp_path / "site" / "pages" / "digits.html").read_text("utf-8") == "a page"


ROWS = [
    "age,hours per week,job,home town,sum,wage",
    "17,40.0,nurse,north,0,low",
    "33,38.5,clerk,north,12000,middle",
    "45,,clerk,south,0,middle",
    '61,44.0,"driver, <b>""night""",south,5000,high',
    "52,41.5,,east,0,high",
    "28,20.0,nurse,east,70000,high",
    "39,?,clerk,north,0,low",
]
#: Rows of later: with more decimals, a new category, gaps in another column, numbers beyond all.
LATER = [
    *ROWS[1:],
    "33.5,40.25,nurse,west,-1e9,low",
    ",NA,none,south,9e99,middle",
    '34.5,40.35," driver, <b>""night"" ",north,15,high',
]


def cells_of(path, rows):
    """Return the cells of rows as a table in a file has them."""
    path.write_text("\n".join(rows), "utf-8")
    return next(TableFile(path).rows(1000))


@pytest.fixture(scope="module")
def wages(tmp_path_factory):
    """A classifier of a table with gaps and categories."""
    cells = cells_of(tmp_path_factory.mktemp("table") / "wages.csv", ROWS)
    return classifier_of(cells, "wage")


def classifier_of(cells, target):
    table = Table.of(cells, target)
    model = SpikingMLPClassifier((12, 8), random_state=0, max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(table.features(cells), table.targets(cells[target]))
    model.table_ = table
    return model


@in_a_browser
@pytest.mark.parametrize("name", ["wages", "irises", "two kinds of irises"])
def test_rows_of_a_table_are_those_of_its_classifier(browser, tmp_path, wages, name):
    if name == "wages":
        cells, model = cells_of(tmp_path / "later.csv", [ROWS[0], *LATER]), wages
    else:
        n = 150 if name == "irises" else 100
        table = next(TableFile(ROOT / "examples" / "iris.csv").rows(n))
        cells, model = table, classifier_of(table, "species")
    opened(browser, tmp_path, model)
    table, before = model.table_, deepcopy(model)
    features, classes = table.features(cells), cells[table.target]
    names = [column.name for column in table.columns]
    rows = zip(*(cells[name] for name in [*names, table.target]), strict=True)
    text = LATER if name == "wages" else [";".join(row) for row in rows]
    browser.run(f"given = rowsOf({json.dumps(chr(10).join(text))}, true)")
    found = browser.run("given.map(({ values }) => values.flatMap(featuresOf))")
    assert np.array_equal(np.rint(found).clip(-(2**31) + 1, 2**31 - 1), features)
    labels = [model.classes_.tolist().index(one) for one in classes]
    assert browser.run("given.map(({ label }) => label)") == labels
    scores = model.decision_function(features)
    shown_scores = np.array(browser.run("given.map(({ values }) => show(values).scores)"))
    is_one = scores.ndim == 1  # the second's less the first's, of two classes
    assert np.array_equal(np.diff(shown_scores)[:, 0] if is_one else shown_scores, scores)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, label in zip(features, classes, strict=True):
            model = model.partial_fit(row[np.newaxis], [label])
    browser.run("teachAll(given)")
    assert_same_classifiers(learned(browser, before), model)
    assert browser.run("show(given[0].values).spikes.map((layer) => layer[0].length)") == list(
        model.checkpoint_.net.layer_sizes
    )


@in_a_browser
def test_a_table_has_fields_with_its_names(browser, tmp_path, wages):
    opened(browser, tmp_path, wages)
    assert "wage" in browser.run("byId('rows').labels[0].textContent")
    names = "Array.from(byId('columns').children, (column) => column.firstChild.textContent)"
    assert browser.run(names) == ["age", "hours per week", "job", "home town", "sum"]
    hours = "byId('column-1')"
    assert browser.run(f"{hours}.labels[0].textContent") == "hours per week"
    ends = browser.run(f"['type', 'min', 'max', 'step'].map((name) => {hours}[name])")
    assert ends == ["range", "20.0", "44.0", "0.1"]
    options = browser.run("Array.from(byId('column-2').options, (one) => one.textContent)")
    assert options == ["missing", "clerk", 'driver, <b>"night"', "nurse"]
    assert browser.run("input.values()") == [39, 40, "", "east", 0]  # medians, and what comes first
    assert browser.run("byId('column-1').value") == "40"
    # A column without gaps has no box for them.
    boxes = browser.run("Array.from(byId('columns').querySelectorAll('label:has(input)'), "
        "(it) => it.offsetParent !== null)")  # fmt: skip
    assert boxes == [False, True, False]

    number = "#column-1 + input"
    set_field(browser, "#column-0", "50")
    set_field(browser, number, "39.25")
    set_field(browser, "#column-2", "nurse")
    set_field(browser, "#column-3", "north")
    assert browser.run("input.values()") == [50, 39.25, "nurse", "north", 0]
    set_field(browser, number, "")  # a number that is being typed anew
    assert browser.run("input.values()")[1] == 39.25
    verdict = browser.run("byId('verdict').textContent")
    row = ["50", "39.25", "nurse", "north", "0"]
    cells = {name: (cell,) for name, cell in zip(ROWS[0].split(","), row, strict=False)}
    (scores,) = wages.decision_function(wages.table_.features(cells))
    best, then = wages.classes_[np.argsort(-scores)[:2]]
    assert re.fullmatch(rf"It says {best} \(.*\), then {then} \(.*\)\.", verdict)
    assert browser.run("document.querySelector('.best').firstChild.textContent") == best

    browser.run("document.querySelector('#column-1 ~ label input').click()")
    assert browser.run("input.values()") == [50, "", "nurse", "north", 0]
    assert browser.run("byId('column-1').disabled")
    cells["hours per week"] = ("",)
    features = wages.table_.features(cells)
    assert browser.run("input.values().flatMap(featuresOf)") == features[0].tolist()
    assert browser.run("said.scores") == wages.decision_function(features)[0].tolist()
    browser.run("byId('teach').children[1].click()")
    kept = "byId('kept').textContent"
    assert browser.run(kept).startswith("50, missing, nurse, north, 0low → ")
    assert pasted(browser, "61,20,baker,west,5", "next-row") == ""
    assert browser.run("byId('column-3').selectedIndex") == -1  # none of its categories
    browser.run("byId('clear').click()")
    assert browser.run("input.values()") == [39, 40, "", "east", 0]
    browser.run("byId('kept').querySelector('button').click()")
    assert browser.run("input.values()") == [50, "", "nurse", "north", 0]


@in_a_browser
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_new_user_comes_back_and_finds_what_was_taught(browser, tmp_path, trained, screen):
    def come_back(path):
        browser.new_tab()
        on_a_screen(browser, screen)
        browser.open(path)
        return browser.run("byId('status').textContent")

    opened(browser, tmp_path, trained)
    page = tmp_path / "page.html"
    assert come_back(page) == ""  # there was nothing to find
    assert "stays in this browser" in browser.run("byId('storage').textContent")
    at_first = browser.run("present()")
    drawn(browser, *SEVEN)
    for _ in range(3):
        browser.run("byId('teach').children[4].click()")
    taught = browser.run("present()")
    kept = browser.run("byId('kept').textContent")
    assert "×3" in kept
    assert come_back(page) == "Took up what you taught it before (lessons: 3)."
    assert browser.run("present()") == taught
    assert browser.run("byId('kept').textContent") == kept
    assert browser.run("byId('undo').disabled")
    # It goes on from there, and each change is found.
    browser.run("byId('kept').querySelector('button').click(); byId('teach').children[7].click()")
    browser.run("byId('teach').children[7].click(); byId('undo').click()")
    assert come_back(page) == "Took up what you taught it before (lessons: 4)."
    assert browser.run("kept.map(({ label, times }) => [label, times])") == [[4, 3], [7, 1]]
    x, y = digits(2)
    shown(browser, x, y)
    other = Simulator.from_checkpoint(learned(browser, trained))
    (tmp_path / "other.bin").write_bytes(to_state_bytes(other.checkpoint()))
    browser.run("byId('kept').replaceChildren()")
    assert loaded_from(browser, tmp_path / "other.bin") == "Loaded other.bin."
    assert come_back(page) == "Took up what you taught it before (lessons: 6)."
    browser.run("byId('forget').click()")
    assert browser.run("present()") == at_first
    assert come_back(page) == ""
    assert browser.run("present()") == at_first
    on_a_screen(browser, None)


@in_a_browser
def test_another_page_does_not_take_what_was_taught(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    browser.run("input.set(new Array(64).fill(9)); byId('teach').children[4].click()")
    stored = browser.run("localStorage.getItem(NETWORK.key)")
    with trained.simulate() as sim:
        sim.train(*digits(1))
        later = sim.checkpoint()
    other = Simulator(DIGITS.replace(layer_sizes=(64, 20, 10))).checkpoint()
    for folder, checkpoint in (("later", later), ("other", other)):
        (tmp_path / folder).mkdir()
        opened(browser, tmp_path / folder, checkpoint)
        assert browser.run("byId('status').textContent") == ""
        assert checkpoint_bytes(learned(browser, checkpoint)) == checkpoint_bytes(checkpoint)
    # Nor does it if the text of the first is put in its place.
    browser.run(f"localStorage.setItem(NETWORK.key, {json.dumps(stored)})")
    browser.open(tmp_path / "other" / "page.html")
    assert browser.run("byId('status').textContent") == REFUSED
    assert checkpoint_bytes(learned(browser, other)) == checkpoint_bytes(other)
    browser.open(tmp_path / "page.html")
    assert browser.run("program.samples_seen()") == trained.state.samples_seen + 1


REFUSED = "What the browser has kept is damaged, or of another network: nothing was changed."


@in_a_browser
def test_damaged_storage_is_refused(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    at_first = browser.run("present()")
    browser.run("input.set(new Array(64).fill(9)); byId('teach').children[4].click()")
    good = json.loads(browser.run("localStorage.getItem(NETWORK.key)"))
    flipped = "B" if good["learned"][1000] == "A" else "A"
    damaged = good["learned"][:1000] + flipped + good["learned"][1001:]
    for text in (
        *("", "null", "{}", "no text of a page", json.dumps(good)[:-9]),
        *(json.dumps(good | {"learned": one}) for one in (damaged, "A", "?", 1)),
        json.dumps(good | {"learned": good["learned"] + good["learned"]}),
        *(json.dumps(good | {"kept": one}) for one in (None, 1, [1], [{"label": 1}])),
    ):
        browser.run(f"localStorage.setItem(NETWORK.key, {json.dumps(text)})")
        browser.open(tmp_path / "page.html")
        assert browser.run("byId('status').textContent") == REFUSED, text
        assert browser.run("present()") == at_first
        assert browser.run("byId('kept').children.length") == 0
    browser.run(f"localStorage.setItem(NETWORK.key, {json.dumps(json.dumps(good))})")
    browser.open(tmp_path / "page.html")
    assert browser.run("byId('status').textContent").startswith("Took up")


@in_a_browser
@pytest.mark.parametrize(
    "script",
    [
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})",
        "Storage.prototype.setItem = () => { throw new Error('full') }",
    ],
    ids=["none", "full"],
)
def test_a_browser_that_keeps_nothing_is_enough(browser, tmp_path, trained, script):
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=script)
    opened(browser, tmp_path, trained)
    drawn(browser, *SEVEN)
    browser.run("byId('teach').children[4].click()")
    assert browser.run("byId('storage').textContent").startswith("this browser keeps nothing")
    assert browser.run("byId('storage').getAttribute('role')") == "status"
    assert browser.run("byId('status').textContent").startswith("Taught as 4.")
    browser.run("byId('undo').click()")
    assert checkpoint_bytes(learned(browser, trained)) == checkpoint_bytes(trained)
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    browser.open(tmp_path / "page.html")
    assert browser.run("byId('status').textContent") == ""


@in_a_browser
def test_an_empty_field_invites_and_marks_no_class(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    shown_now = (
        "[byId('invitation').hidden, document.querySelectorAll('.best').length, "
        "byId('verdict').textContent.startsWith('It says')]"
    )
    assert browser.run("byId('invitation').textContent") == "Draw a digit here"
    assert browser.run(shown_now) == [False, 0, False]
    drawn(browser, *SEVEN)
    assert browser.run(shown_now) == [True, 1, True]
    browser.run("byId('clear').click()")
    assert browser.run(shown_now) == [False, 0, False]
    opened(browser, tmp_path, trained, classes=list("abcdefghij"))
    assert browser.run("byId('invitation').textContent") == "Draw here"


def in_view(browser, *names):
    """Return whether all of these are within the screen, and nothing of the page covers them."""
    return browser.run(
        f"{json.dumps(names)}.every((name) => {{ const it = document.querySelector(name); "
        "const { left, right, top, bottom } = it.getBoundingClientRect(); "
        "const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2); "
        "return top > -1 && bottom < innerHeight + 1 && it.contains(there); })"  # within a pixel
    )


@in_a_browser
@pytest.mark.parametrize("n_classes", [10, 47])
def test_field_and_verdict_stay_in_view_on_a_telephone(browser, tmp_path, trained, n_classes):
    net = DIGITS.replace(layer_sizes=(64, 9, n_classes))
    on_a_screen(browser, PHONE)
    opened(browser, tmp_path, trained if n_classes == 10 else Simulator(net).checkpoint())
    assert in_view(browser, "#field", "#verdict")
    drawn(browser, *SEVEN)
    assert in_view(browser, "#field", "#verdict")
    for n in (1, n_classes // 2, n_classes):
        button = f"#teach button:nth-child({n})"
        browser.run(f"document.querySelector('{button}').focus()")
        assert in_view(browser, "#field", "#verdict", button), n
    browser.run(f"document.querySelector('{button}').click()")
    browser.run("byId('status').scrollIntoView({ block: 'nearest' })")
    assert in_view(browser, "#field", "#verdict", "#status")
    assert browser.run("scrollY > 0")
    on_a_screen(browser, None)


@in_a_browser
def test_the_verdict_on_a_row_stays_in_view_on_a_telephone(browser, tmp_path, wages):
    on_a_screen(browser, PHONE)
    opened(browser, tmp_path, wages)
    assert browser.run("document.documentElement.scrollWidth") == 360
    for field in ("#column-0", "#column-4", "#teach button:last-child", "#column-1"):
        browser.run(f"document.querySelector('{field}').focus()")
        assert in_view(browser, "#verdict", field), field
    on_a_screen(browser, None)


@in_a_browser
def test_the_hint_to_keys_is_where_there_are_keys(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    height = "byId('keys').offsetHeight"
    assert browser.run(height) > 0
    on_a_screen(browser, PHONE)
    assert browser.run(height) == 0
    on_a_screen(browser, None)


@in_a_browser
def test_a_classifier_of_images_is_drawn_for(browser, tmp_path):
    x, y = digits(100)
    names = [f"pixel {i}" for i in range(64)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SpikingMLPClassifier((20,), random_state=0).fit(x, y)
    opened(browser, tmp_path, model)
    drawn(browser, *SEVEN)
    pixels = browser.run("input.values()")
    assert max(pixels) == 16
    assert browser.run("said.scores") == model.decision_function([pixels])[0].tolist()
    opened(browser, tmp_path, model, features=names, limits=(0, 16))
    assert browser.run("byId('columns').children.length") == 64
    pixels[3] = 2.5  # whole numbers are shown, of two the even one
    scores = browser.run(f"show({pixels}).scores")
    assert scores == model.decision_function([np.rint(pixels)])[0].tolist()
    assert browser.run("byId('column-0').step") == "1.0"
