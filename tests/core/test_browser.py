"""A network learns in a page of a browser, with the integers of the reference."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from spikebp_plugins import Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork, load_dataset
from spikebp_plugins.embedded import from_state_bytes
from tests.browser import CHROMIUM, Browser
from tests.core.small_nets import checkpoint_bytes, lively_simulator, samples, small_net
from tests.core.test_cli import run as spikebp
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
    yield chromium
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
    asked = [sim.operations.total, sim.operations.multiply_adds, sim.operations.dense]
    names = ("additions", "multiplyAdds", "dense")
    assert [sum(sample[name] for pair in found for sample in pair) for name in names] == asked


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
def test_a_damaged_file_is_refused_and_changes_nothing(browser, tmp_path, trained):
    opened(browser, tmp_path, trained)
    good = bytes(browser.run("Array.from(savedBytes())"))
    shown(browser, *digits(3))
    before = browser.run("Array.from(memory())")
    flipped = bytearray(good)
    flipped[1000] ^= 1
    key = bytearray(good)
    key[9] ^= 1
    for data in (flipped, key, good[:-1], good + b"\0", b""):
        (tmp_path / "bad.bin").write_bytes(data)
        said = loaded_from(browser, tmp_path / "bad.bin")
        assert said == "bad.bin is damaged, or of another network: nothing was changed."
        assert browser.run("Array.from(memory())") == before


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
    browser.run("byId('teach').children[4].click()")
    assert browser.run("byId('status').textContent") == "Draw something first."
    assert browser.run("Array.from(savedBytes())") == at_first
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
    assert kept == [f"{first} → 4 ✗", *["4 → 4 ✓"] * 8]
    for state in states[:3:-1]:
        browser.run("byId('undo').click()")
        assert browser.run("Array.from(savedBytes())") == state
    browser.run("byId('forget').click()")
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
    browser.run("byId('keep').click()")
    reached = set()
    for _ in range(20):
        pressed(browser, "Tab")
        reached.add(browser.run("document.activeElement.outerHTML"))
    reachable = "button:enabled, input, #field, #kept button"
    assert reached >= set(
        browser.run(f"Array.from(document.querySelectorAll('{reachable}'), it => it.outerHTML)")
    )
    assert len(reached) > 15
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "application", "image", "group"}
    named = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert {node["role"]["value"] for node in named} == roles
    assert all(node["name"]["value"] for node in named)

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
    screen = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}
    browser.call("Emulation.setDeviceMetricsOverride", **screen)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    opened(browser, tmp_path, trained)
    assert browser.run("document.documentElement.scrollWidth") == 360
    smallest = "Array.from(document.querySelectorAll('button'), it => it.offsetHeight)"
    assert min(browser.run(smallest)) >= 40
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
    browser.call("Emulation.clearDeviceMetricsOverride")


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
    slide = "(it => {it.value = 1.5; it.dispatchEvent(new Event('input'))})(byId('feature-1'))"
    browser.run(slide)
    assert browser.run("input.values()") == [0.5, 1.5, 0.5]

    def click(text, button):
        browser.run(f"byId('rows').value = {json.dumps(text)}; say('')")
        browser.run(f"document.querySelectorAll('details button')[{button}].click()")
        return browser.run("byId('status').textContent")

    show, teach = 0, 1
    for text in ("1 2", "1 2 x", "1, 2,3\n4", "1,,3"):
        assert re.fullmatch(r"Row [12] must have 3 numbers\.", click(text, show))
    assert click("0.1\t0.7 2.123456789;yes\n9, 8, 7, no\n", show) == ""
    assert browser.run("input.values()") == [0.1, 0.7, 2.123456789]
    assert click("0.1,0.7,2.123456789,yes", teach).startswith("Taught as yes. ")
    assert "and then one of no, yes" in click("1 2 3\n", teach)
    x, y = samples(VECTORS, 30)
    table = "".join(f"{a!r} {b!r} {c!r} {['no', 'yes'][label]}\n"
        for (a, b, c), label in zip(x.tolist(), y, strict=True))  # fmt: skip
    assert click(table, teach).startswith("Taught 30 rows. ")
    sim = Simulator.from_checkpoint(before)
    sim.train([[0.1, 0.7, 2.123456789], *x], [1, *y])
    assert checkpoint_bytes(learned(browser, before)) == checkpoint_bytes(sim)


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make_page.py", "net.npz", "net.html"])
    make_page.main()
    assert (tmp_path / "net.html").read_text("utf-8") == make_page.page_of(trained)
    assert capsys.readouterr().out.startswith("net.html: ")
    monkeypatch.setattr("sys.argv", ["make_page.py", "other.npz", "net.html"])
    with pytest.raises(SystemExit, match=r"other\.npz"):
        make_page.main()


def test_what_no_page_can_be_made_of_is_refused(monkeypatch, trained):
    checkpoint = Simulator(VECTORS.replace(input_coding="spikes")).checkpoint()
    with pytest.raises(ValueError, match="takes input_coding='values'; got 'spikes'"):
        make_page.page_of(checkpoint)
    with pytest.raises(ValueError, match="classes must be 10 names; got 2"):
        make_page.page_of(trained, classes=["a", "b"])
    monkeypatch.setattr(make_page, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="pip install ziglang"):
        make_page.page_of(trained)


def test_the_folder_of_the_pages_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "pages", lambda: [("digits.html", "a page")])
    for _ in range(2):
        site.save(tmp_path / "site" / "pages")
    assert (tmp_path / "site" / "pages" / "digits.html").read_text("utf-8") == "a page"
