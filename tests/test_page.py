"""The page, in a real browser: real paintings in, verdicts read, by mouse and by keyboard, with a silent console.

Needs Chromium, as Debian has it (apt install chromium libatomic1). ARTIDX_SCREENSHOTS names a folder for pictures of
every view.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from artidx import Embedder, Index
from artidx.as_json import as_json
from artidx.files import sha256_of
from artidx.index.review.findings import Candidate, Finding, Review, Witness
from artidx.service import findings
from artidx.service.projection import drawn
from made import MUSEUM, painting, small_model
from served import TOKEN, as_served, served

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium; apt install chromium libatomic1")
WAIT_MS = 30_000  # other tests run beside these
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def museum(museum_index):
    with served(museum_index.source) as found:
        yield found


@pytest.fixture(scope="module")
def gallery():
    with served(None) as found:
        yield found


@pytest.fixture
def serve():
    """serve(index) -> a service that outlives the pages of a test: an open page never stops asking it."""
    with ExitStack() as services:
        yield lambda index, **settings: services.enter_context(served(index.source, **settings))


@pytest.fixture
def open_page(browser, serve):
    """open_page(service, "compare?a=1") -> a page whose console must stay silent, save for what is expected."""
    opened = []

    def opens(service, view="", *, phone=False, dark=False, expected=()):
        size = {"width": 390, "height": 844} if phone else {"width": 1200, "height": 900}
        context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", has_touch=phone)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        opened.append((context, said, expected))
        page.goto(f"{service.url}/{view and '#/' + view}")
        expect(page.locator("h1")).to_be_visible()
        return page

    yield opens
    for context, said, expected in opened:
        context.close()
        assert [words for words in said if not any(each in words for each in expected)] == []


def photographed(page, name):
    """Whether everybody can use what is shown; and its picture, if pictures are wanted."""
    if folder := os.environ.get("ARTIDX_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(500)
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "the page is wider than the screen"


def ids(index, artist=None):
    table = index.generation.table
    return list(table["id"] if artist is None else table["id"][table["artist"] == artist])


def tab_to(page, locator):
    for _ in range(80):
        if locator.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{locator} is not reached by Tab")


def test_two_pictures_are_compared_and_looked_at_closely_side_by_side(open_page, museum, museum_index, tmp_path):
    a, b = ids(museum_index)[:2]
    page = open_page(museum)
    photographed(page, "compare-empty")
    page.get_by_label("Painting A: choose a file").set_input_files(MUSEUM / f"{a}.jpg")
    expect(page.get_by_text("appears here once both are there")).to_be_visible()
    page.get_by_label("Painting B: choose a file").set_input_files(MUSEUM / f"{b}.jpg")
    verdict = museum_index.pair(MUSEUM / f"{a}.jpg", MUSEUM / f"{b}.jpg")
    expect(page.locator("#verdict")).to_have_text(verdict.summary.headline)
    page.get_by_text("What this assumes").click()
    for sentence in verdict.summary.details:
        expect(page.get_by_label("Verdict")).to_contain_text(sentence)
    expect(page.locator(".caution")).to_have_count(0)
    expect(page.locator("svg.chart")).to_have_attribute("role", "img")
    marks = page.get_by_role("button", name="Mark the parts that look most alike")
    marks.click()
    expect(page.locator(".slot .part")).to_have_count(6)
    page.get_by_role("button", name="Open both side by side").click()
    expect(page.locator(".closely .part").first).to_be_visible()
    photographed(page, "compare")

    def widths(before=None):  # of a part of each, when they have glided to where they are going
        then = before
        for _ in range(WAIT_MS // 250):
            page.wait_for_timeout(250)
            now = [picture.locator(".part").first.bounding_box()["width"] for picture in page.locator(".closely").all()]
            if now == then != before:
                break
            then = now
        return then

    whole = widths()
    page.get_by_role("application", name="Painting A").focus()
    page.keyboard.press("+")
    closer = widths(whole)
    assert closer[0] > 1.05 * whole[0]
    assert closer[1] / whole[1] == pytest.approx(closer[0] / whole[0], rel=0.01)
    page.get_by_label("Move both together").uncheck()
    page.get_by_role("application", name="Painting B").focus()
    page.keyboard.press("+")
    parted = widths(closer)
    assert parted[0] == closer[0]
    assert parted[1] > closer[1]
    marks.click()
    expect(page.locator(".part").first).to_be_hidden()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as JSON").click()
    ours, sides = json.loads(as_json(verdict)), {"a": None, "b": None}  # these are named by their paths
    assert json.loads(Path(saved.value.path()).read_text()) | sides == as_served(ours) | sides


def test_where_a_few_paintings_calibrate_the_two_distributions_are_drawn(open_page, serve, tmp_path):
    for number in range(24):
        artist = ("red", "green", "blue")[number % 3]
        painting(
            tmp_path / artist / f"{number}.png", number, tuple(200 * (artist == of) for of in ("red", "green", "blue"))
        )
    index, _ = Index.build(tmp_path / "few.artidx", tmp_path, embedder=Embedder(small_model(), "small.onnx"))
    index.calibrate()
    a, b = ids(index)[:2]
    page = open_page(serve(index), f"compare?a={a}&b={b}")
    for kind in ("same", "different"):
        drawn = page.locator(f"svg.chart path.{kind}").get_attribute("d")
        assert drawn.count("L") > 100
        assert "NaN" not in drawn
    photographed(page, "compare-few")


def test_a_link_keeps_what_was_asked(open_page, museum, museum_index):
    a, b = ids(museum_index)[0], ids(museum_index)[-1]
    page = open_page(museum, f"compare?a={a}&b={b}&prior=0.01")
    rare = museum_index.pair(f"id:{a}", f"id:{b}", prior=0.01)
    expect(page.get_by_label("Verdict")).to_contain_text("if 1% of the pairs you ask about are")
    page.get_by_label("The threshold lets pass").select_option("0.01")
    strict = museum_index.pair(f"id:{a}", f"id:{b}", prior=0.01, false_positive_rate=0.01)
    expect(page.get_by_label("Verdict")).to_contain_text(f"{strict.threshold:.3f}")
    assert page.url.endswith(f"#/compare?a={a}&b={b}&prior=0.01&fpr=0.01")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#printed")).to_have_text(re.compile(rf"Printed on .* 20\d\d from {re.escape(page.url)}"))
    page.go_back()
    expect(page.get_by_label("Verdict")).to_contain_text(f"{rare.threshold:.3f}")
    photographed(page, "compare-link")


def test_the_verdict_is_above_the_fold_and_says_no_more_than_the_probability(open_page, museum, museum_index):
    a, b = ids(museum_index)[:2]
    page = open_page(museum, f"compare?a={a}&b={b}&prior=0.01")
    page.set_viewport_size({"width": 1280, "height": 800})
    summary = museum_index.pair(f"id:{a}", f"id:{b}", prior=0.01).summary
    expect(page.locator("#verdict")).to_have_text(summary.headline)
    expect(page.get_by_text(summary.details[0])).to_be_visible()
    expect(page.locator(".frame img")).to_have_count(2)
    page.wait_for_function("[...document.querySelectorAll('.frame img')].every((each) => each.complete)")
    assert page.locator("#verdict").evaluate("each => each.getBoundingClientRect().bottom + scrollY") < 800


def test_a_picture_of_ones_own_is_asked_for_again_where_a_link_cannot_carry_it(open_page, museum, museum_index):
    page = open_page(museum, "identify?image-file=mine.jpg")
    expect(page.get_by_role("status").first).to_contain_text("“mine.jpg” was a picture of yours")


def test_a_painting_is_identified_with_those_that_speak_for_each_artist(open_page, museum, museum_index):
    known = ids(museum_index)[0]
    page = open_page(museum, "identify")
    page.get_by_label("The painting: choose a file").set_input_files(MUSEUM / f"{known}.jpg")
    answer = museum_index.nearest(MUSEUM / f"{known}.jpg")
    artists = page.get_by_label("Artists")
    expect(page.locator("#answer")).to_have_text(answer.summary.headline)
    for note in answer.summary.notes:
        expect(artists).to_contain_text(note)
    expect(artists).to_contain_text("none of the artists here")
    expect(artists).to_contain_text(f"{answer.artists[0].paintings[0].distance:.3f}")
    photographed(page, "identify")
    page.get_by_label("to the year").fill("1749")
    medium = page.get_by_label("medium").locator("option").nth(1).get_attribute("value")
    page.get_by_label("medium").select_option(medium)
    page.get_by_role("button", name="Apply").click()
    among = len(museum_index.only(f"year <= 1749 and {medium}"))
    expect(artists).to_contain_text(f"Searched: {among} paintings")


def found_by_keyboard(page, name, painting_id):
    tab_to(page, page.get_by_label(f"{name}: find it in the index"))
    page.keyboard.type(painting_id)
    page.keyboard.press("Enter")
    result = page.get_by_role("region", name=name).locator(".found button")
    expect(result).to_have_count(1)
    tab_to(page, result)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name=name).get_by_role("button", name="Another one")).to_be_visible()


def test_two_paintings_are_compared_by_keyboard_alone(open_page, museum, museum_index):
    a, b = ids(museum_index)[:2]
    page = open_page(museum)
    found_by_keyboard(page, "Painting A", a)
    found_by_keyboard(page, "Painting B", b)
    expect(page.locator("#verdict")).to_be_visible()
    tab_to(page, page.locator("summary"))
    page.keyboard.press("Enter")
    threshold = page.get_by_label("The threshold lets pass")
    tab_to(page, threshold)
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("fpr=0.01$"))
    expect(threshold).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Open both side by side"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("application", name="Painting A")).to_be_focused()
    tab_to(page, page.get_by_label("Move both together"))


def test_a_painting_is_identified_by_keyboard_alone(open_page, museum, museum_index):
    page = open_page(museum, "identify")
    found_by_keyboard(page, "The painting", ids(museum_index)[0])
    tab_to(page, page.get_by_label("to the year"))
    page.keyboard.type("1749")
    page.keyboard.press("Enter")
    artists = page.get_by_label("Artists")
    expect(artists).to_contain_text(f"Searched: {len(museum_index.only('year <= 1749'))} paintings")
    likely = artists.locator(".bar a").first
    tab_to(page, likely)
    name = likely.inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(name)


def test_the_link_to_the_content_leaves_the_view_as_it_is(open_page, museum):
    page = open_page(museum, "collection")
    expect(page.locator(".wall a").first).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.get_by_role("link", name="Skip to content").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("The collection")
    expect(page.locator("#main")).to_be_focused()


def test_the_collection_leads_to_artists_paintings_and_questions(open_page, museum, museum_index):
    artist = museum_index.generation.table["artist"].iloc[0]
    page = open_page(museum, "collection")
    only, works = page.get_by_label("Only some"), f"{len(ids(museum_index, artist))} painting"
    expect(page.locator(".wall img").first).to_be_visible()
    photographed(page, "collection")
    only.get_by_role("link", name=artist).click()
    expect(page.get_by_label("Paintings")).to_contain_text(works)
    expect(page.locator(".wall li")).to_have_count(len(ids(museum_index, artist)))
    only.get_by_role("link", name="without artist ==").click()
    expect(page.get_by_label("Paintings")).to_contain_text(f"{len(museum_index)} paintings")
    page.get_by_label("Words in the artist").fill(artist)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Paintings")).to_contain_text(works)
    page.get_by_label("Artists", exact=True).get_by_role("link", name=artist).click()
    expect(page.get_by_label("Nearest artists").locator(".strip img").first).to_be_visible()
    expect(page.locator(".decade .card")).to_have_count(len(ids(museum_index, artist)))
    photographed(page, "artist")
    page.locator(".decade .card").first.click()
    expect(page.get_by_role("link", name="Compare with another")).to_be_visible()
    expect(page.locator(".frame img")).to_be_visible()
    expect(page.get_by_label("Nearest").locator(".card")).to_have_count(12)
    photographed(page, "painting")
    page.get_by_role("link", name="Who might have painted it?").click()
    expect(page.locator("#answer")).to_be_visible()


def test_a_shortlist_becomes_a_report_whose_link_shows_the_same(open_page, museum, museum_index, tmp_path):
    one, other = ids(museum_index)[0], ids(museum_index)[-1]
    own = shutil.copy(MUSEUM / f"{ids(museum_index)[1]}.jpg", tmp_path / "mine.jpg")
    page = open_page(museum, "collection")
    page.locator(".wall a").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Shortlist:").first).to_have_attribute("aria-pressed", "true")
    page.goto(f"{museum.url}/#/identify?image={other}")
    page.get_by_role("region", name="The painting").get_by_role("button", name="Shortlist:").click()
    page.goto(f"{museum.url}/#/identify")
    page.get_by_label("The painting: choose a file").set_input_files(own)
    page.get_by_role("button", name="Shortlist: mine.jpg").click()
    page.get_by_role("link", name="Report (3)").click()
    page.reload()  # the picture of one's own is still there
    entries = page.locator(".entry")
    for entry, asked in zip(entries.all(), (f"id:{one}", f"id:{other}", own), strict=True):
        expect(entry.locator(".lead").last).to_have_text(museum_index.nearest(asked).summary.headline)
    expect(entries.last.locator(".lead").first).to_contain_text("This and ")  # it is a picture of the index, too
    expect(entries.last.get_by_role("img", name="mine.jpg", exact=True)).to_be_visible()
    expect(page.get_by_text("1 picture of your own stays in this browser: the link leaves it out")).to_be_visible()
    tab_to(page, entries.first.get_by_label("Note"))
    page.keyboard.type("ask the studio")
    tab_to(page, entries.first.get_by_role("button", name="Down"))
    page.keyboard.press("Enter")
    expect(entries.nth(1).get_by_label("Note")).to_have_value("ask the studio")
    photographed(page, "report")
    page.get_by_label("Title").fill("For Anna")
    page.keyboard.press("Enter")
    elsewhere = open_page(museum, page.get_by_role("link", name="Link to this report").get_attribute("href")[2:])
    expect(elsewhere.locator("h1")).to_have_text("For Anna")
    expect(elsewhere.locator(".entry")).to_have_count(2)
    expect(elsewhere.locator(".entry").nth(1).get_by_label("Note")).to_have_value("ask the studio")
    paper = elsewhere.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 3  # it begins on the first page
    elsewhere.emulate_media(media="print")
    expect(elsewhere.locator(".entry").nth(1).locator(".on-paper")).to_have_text("ask the studio")
    elsewhere.emulate_media(media="screen")
    elsewhere.get_by_role("button", name="Make it my shortlist").click()
    expect(elsewhere.get_by_role("link", name="Report (2)")).to_be_visible()


def test_a_wall_of_thousands_holds_only_what_is_on_the_screen(open_page, gallery):
    page = open_page(gallery, "collection")
    expect(page.get_by_label("Paintings")).to_contain_text("16,375 paintings")
    expect(page.locator(".wall img, .wall .blank")).to_have_count(0)  # the gallery has no pictures: a wall of words
    expect(page.locator(".wall li a").first).to_be_visible()  # before that, the page is not as long as the wall
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = page.locator(".wall li[aria-posinset='16375'] a")
    expect(last).to_have_attribute("href", re.compile("painting"))
    assert page.locator(".wall li").count() < 200


def test_the_reference_gallery_answers_without_pictures(open_page, gallery):
    with gallery.client() as client:
        monet = client.get("/v1/paintings", params={"artist": "Claude Monet"}).json()["paintings"][0]["id"]
    page = open_page(gallery, "identify")
    expect(page.locator("footer")).to_contain_text("the reference gallery: 16,375 paintings by 1,825 artists")
    page.get_by_label("The painting: choose a file").set_input_files(MUSEUM / "437430.jpg")
    expect(page.locator("#answer")).to_contain_text("Pierre-Auguste Renoir")
    expect(page.locator(".blank")).to_have_count(0)
    expect(page.locator(".listed a[href^=https]").first).to_have_attribute("rel", "noopener noreferrer")
    photographed(page, "identify-gallery")
    page.goto(f"{gallery.url}/#/compare?a={monet}&b={monet}")
    expect(page.get_by_text("The index has no image of either")).to_be_visible()


def test_two_pictures_from_outside_come_with_a_caution_unless_such_pairs_were_measured(
    open_page, gallery, serve, museum_index, tmp_path
):
    shutil.copytree(museum_index.source, tmp_path / "before.artidx")
    (manifest,) = (tmp_path / "before.artidx").rglob("manifest.json")
    found = json.loads(manifest.read_bytes())
    found["calibration"]["outside"] = None  # as `artidx calibrate` and models of before leave it
    manifest.write_text(json.dumps(found))
    manifest.with_name("manifest.sha256").write_text(f"{sha256_of(manifest)}  manifest.json\n")
    (tmp_path / "before.artidx" / "CURRENT").write_text(f"{manifest.parent.name} {sha256_of(manifest)}\n")
    pictures = [tmp_path / "1.jpg", tmp_path / "2.jpg"]
    with Image.open(MUSEUM / "459083.jpg") as whole:
        for number, path in enumerate(pictures, start=1):
            whole.crop((0, 0, whole.width - 9 * number, whole.height)).save(path)
    for service, cautions in ((serve(Index.open(tmp_path / "before.artidx")), 1), (gallery, 0)):
        page = open_page(service)
        page.get_by_label("Painting A: choose a file").set_input_files(pictures[0])
        page.get_by_label("Painting B: choose a file").set_input_files(pictures[1])
        expect(page.locator("#verdict")).to_contain_text("ikely that one artist painted both")
        expect(page.locator(".caution")).to_have_count(cautions)
        photographed(page, f"compare-outside-{cautions}")


def test_the_map_shows_all_paintings_and_opens_them(open_page, museum, museum_index):
    artist = museum_index.generation.table["artist"].iloc[0]
    store = museum_index.store  # drawn here: the process of a service gives way to other tests
    np.save(museum.state.maps.path(museum_index), drawn(store))
    page = open_page(museum, "map", expected=["GPU stall due to ReadPixels"])  # a screen without a graphics card
    canvas = page.locator("canvas")
    expect(canvas).to_have_attribute("data-drawn", str(len(museum_index)))
    page.get_by_role("button", name="Choose what is visible").click()
    chosen = page.get_by_label("Chosen")
    expect(chosen).to_contain_text(f"{len(museum_index)} paintings chosen")
    expect(chosen.locator(".card")).to_have_count(len(museum_index))
    with page.expect_download() as saved:
        chosen.get_by_role("link", name="Save their ids as CSV").click()
    assert sorted(Path(saved.value.path()).read_text().split()) == sorted(["id", *ids(museum_index)])
    photographed(page, "map")
    page.get_by_role("button", name="Lasso").click()
    page.evaluate("scrollTo(0, 0)")
    box = canvas.bounding_box()
    for number, (across, down) in enumerate([(0.05, 0.05), (0.95, 0.05), (0.95, 0.5), (0.05, 0.5)]):  # the upper half
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        if not number:
            page.mouse.down()
    page.mouse.up()
    expect(chosen).not_to_contain_text(f"{len(museum_index)} paintings chosen")
    page.get_by_label("Highlight those with the words").fill(artist)
    page.keyboard.press("Enter")
    expect(page.get_by_role("search", name="The map")).to_contain_text(f"{len(ids(museum_index, artist))} painting")
    page.get_by_label("from the year").fill("1700")
    expect(page.get_by_label("Timeline")).to_contain_text("1700 to")
    assert "from=1700" in page.url
    page.locator(".legend button").first.click()
    expect(page.locator(".legend button").first).to_have_attribute("aria-pressed", "true")
    sharp = canvas.get_attribute("data-width")
    canvas.focus()
    for key in ("+", "ArrowLeft", "-", "0"):
        page.keyboard.press(key)
    expect(canvas).to_have_attribute("data-width", sharp)  # at rest, however coarse it was in motion
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Show on the map").click()
    expect(canvas).to_have_attribute("data-drawn", str(len(museum_index)))


def test_a_phone_shows_it_all_in_the_dark_too(open_page, museum, museum_index):
    a, b = ids(museum_index)[0], ids(museum_index)[-1]
    page = open_page(museum, f"compare?a={a}&b={b}", phone=True, dark=True)
    expect(page.locator("#verdict")).to_be_visible()
    photographed(page, "phone-compare")
    for view in (f"identify?image={a}", "collection", f"painting?id={a}"):
        page.goto(f"{museum.url}/#/{view}")
        expect(page.locator(".card, .wall img, .frame img").first).to_be_visible()
        photographed(page, f"phone-{view.partition('?')[0]}")


def test_what_goes_wrong_is_said_in_words(open_page, museum, museum_index, tmp_path):
    page = open_page(museum, "identify?image=no-such-painting", expected=["404"])
    expect(page.get_by_role("alert")).to_contain_text("no-such-painting")
    photographed(page, "problem")
    page.goto(f"{museum.url}/#/artist?name=Nobody")
    expect(page.get_by_role("alert").first).to_contain_text("the index has no painting by this artist")
    page.goto(f"{museum.url}/#/nowhere")
    expect(page.locator("h1")).to_have_text("There is no such page")
    page.goto(f"{museum.url}/#/collection?q=xyzzy")
    expect(page.get_by_label("Paintings")).to_contain_text("No painting has these words")


def test_an_index_without_a_calibration_says_what_to_do(open_page, serve, tmp_path, collection):
    path = tmp_path / "plain.onnx"
    path.write_bytes(small_model(calibration=None))
    index = Index.build(tmp_path / "plain.artidx", collection, embedder=Embedder.load(path))[0]
    page = open_page(serve(index), f"identify?image={ids(index)[0]}", expected=["409"])
    expect(page.get_by_role("alert")).to_contain_text("artidx calibrate")


def test_names_and_titles_from_outside_are_never_markup(open_page, serve, tmp_path, embedder):
    hostile = "<img src=x onerror=alert(1)>"
    for number in range(3):
        painting(tmp_path / "paintings" / hostile / f"{number} <b>.png", number)
    index = Index.build(tmp_path / "hostile.artidx", tmp_path / "paintings", embedder=embedder)[0]
    page = open_page(serve(index), "collection")
    read = "img src=x onerror=alert 1"  # brackets are no part of a name
    expect(page.locator(".wall a").first).to_contain_text(read)
    expect(page.locator(".wall a").first).to_contain_text("<b>")
    page.goto(page.url + "?q=img")
    expect(page.get_by_label("Artists", exact=True)).to_contain_text(read)
    page.locator(".wall a").first.click()
    expect(page.get_by_role("link", name="Compare with another")).to_be_visible()
    expect(page.locator(".frame img")).to_be_visible()


def test_a_token_is_asked_for_and_pictures_come_with_it(open_page, serve, museum_index):
    page = open_page(serve(museum_index, read_token="open-sesame"), "collection", expected=["401"])
    page.get_by_label("Token").fill("open-sesame")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".wall img").first).to_have_attribute("src", re.compile("^blob:"))


def test_findings_are_decided_by_keyboard_and_kept_by_the_service_with_who_decided(
    open_page, serve, museum_index, tmp_path
):
    shutil.copytree(museum_index.source, tmp_path / "reviewed.artidx")
    index = Index.open(tmp_path / "reviewed.artidx")
    works = [index.query(f"id:{each}").painting for each in ids(index)]
    one, other = works[0], next(each for each in works if each.artist != works[0].artist)

    def doubtful(work, probability=0.9):
        speaks = Candidate(other.artist, probability, (Witness(other, other.id, 0.2),))
        said = {"doubt": 3.0, "expected_false": 0.25, "unknown": 0.95 - probability}
        said["for_recorded"] = Candidate(work.artist, 0.05, ())
        return Finding("doubtful", (work.id,), (work,), work.artist, (work.artist,), (speaks,), **said)

    found = (*map(doubtful, works[:2]), doubtful(works[2], 0.04))
    about = ("model", "base", 1, "2026-01-01 00:00", 24, "made up", ())
    service = serve(index, write_token=TOKEN)
    text = findings.text_of(Review(found, index.name, 24, 24, 7, *about), said=0)
    service.state.reviews.path(index).write_text(text)
    page = open_page(service, "review", expected=["401"])
    finding, listed = page.get_by_label("Finding", exact=True), page.locator(".worklist li")
    expect(finding).to_contain_text(f"Your record: {one.artist}; it looks more like {other.artist}")
    photographed(page, "review")
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text("Say who you are")
    page.keyboard.type("Anna")
    page.keyboard.press("Tab")
    page.keyboard.press("a")
    tab_to(page, page.get_by_label("A token that may write"))
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    expect(listed.first).to_contain_text("accepted")
    expect(page.get_by_text("more; they come at the end")).to_have_count(0)
    (word,) = Index.open(index.source).history.to_dict("records")
    assert (word["id"], word["by"], word["after"]) == (one.id, "Anna", other.artist)
    expect(finding).to_contain_text("probabilities may have changed")  # the record of the same artist was changed
    page.keyboard.press("n")
    page.keyboard.type("ask the studio")
    page.keyboard.press("Enter")
    expect(finding).to_contain_text("The note is saved")
    page.keyboard.press("r")
    expect(listed.nth(1)).to_contain_text("left as it is")
    expect(finding).to_contain_text("it looks like none of the artists here")
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text("Select an artist first")
    page.keyboard.press("o")
    page.keyboard.type("Sofonisba Anguissola")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    expect(listed.nth(2)).to_contain_text("accepted")
    tab_to(page, page.get_by_role("button", name="Decisions as CSV"))
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    table = Path(saved.value.path()).read_text()
    assert f"doubtful,{one.id},{one.artist},accepted,{other.artist},,Anna," in table
    assert ",left,,ask the studio,Anna," in table
    page.reload()
    expect(page.get_by_label("Who decides").or_(page.get_by_text("Nothing is left to decide"))).to_be_visible()
    page.get_by_role("link", name="Include decided ones").click()
    expect(listed).to_have_count(3)
    expect(listed.nth(1)).to_contain_text("left as it is")
    tab_to(page, listed.first.get_by_role("button"))
    for key, number in (("ArrowDown", 1), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(listed.nth(number).get_by_role("button")).to_be_focused()
    page.keyboard.press("u")
    expect(listed.first).not_to_contain_text("accepted")
    assert Index.open(index.source).query(f"id:{one.id}").painting.artist == one.artist
    photographed(page, "review-decided")
