"""What artidx review finds, writes and reads back; and what is never a finding."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import openpyxl
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

import artidx
from artidx.cli.main import artidx as command
from artidx.embedder.catalogs.catalog import read_labels
from artidx.errors import BadCatalog
from artidx.index.review import decisions
from artidx.index.review.doubtful import doubts, false_discoveries, share_above
from artidx.index.review.evidence import Elsewhere, Evidence
from artidx.index.review.findings import Finding, Review
from artidx.index.review.works import Works
from artidx.index.scoring.artist_scores import GalleryScores, compensated, gallery_scores
from made import CALIBRATION, HUES, painting, small_model

PAINTERS = ("Cranach", "Degas", "Giotto", "Manet", "Titian", "Vermeer")
BY = [painter for painter in PAINTERS for _ in range(4)]


def made_works(same: tuple = (), **columns) -> Works:
    """Artists whose works lie around directions of their own."""
    chance = np.random.default_rng(5)
    centres = chance.normal(size=(6, 24))
    vectors = np.concatenate([centre + 0.4 * chance.normal(size=(4, 24)) for centre in centres])
    table = pd.DataFrame({"id": [f"w{number}" for number in range(24)], "artist": BY, **columns})
    table["artist_key"] = [artidx.embedder.catalogs.catalog.artist_key(name) for name in table["artist"]]
    return Works(table, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), same)


def scores_of(works: Works):
    return [each for block in works.scores(works.objects) for each in block]


def evidence(works: Works, elsewhere: Elsewhere | None = None) -> Evidence:
    return Evidence(works, CALIBRATION.artists, np.zeros(24, np.float32), elsewhere)


def test_scores_are_those_of_leave_one_out_written_out():
    works = made_works()
    expected = gallery_scores(works.vectors, works.codes, len(works.keys), works.vectors, np.arange(24))
    for number, (_, found) in enumerate(scores_of(works)):
        np.testing.assert_allclose(found.scores, expected.scores[number], atol=1e-5)
        np.testing.assert_array_equal(found.paintings, expected.paintings[number])


def test_no_count_tells_whose_a_work_is_recorded_to_be():
    scored = compensated(GalleryScores(np.zeros(2), np.array([3.0, 4.0])), np.array([1, 0]))
    assert scored.paintings.tolist() == [4, 4]
    works = made_works()
    assert all((found.paintings == 4).all() for _, found in scores_of(works))


def test_a_copy_of_a_work_is_no_witness_for_it_and_a_work_speaks_once():
    works = made_works(same=((0, 1),))
    assert works.counts.tolist() == [3, 4, 4, 4, 4, 4]
    assert 1 not in [place for place, _ in works.evidence_of(works.objects[0], 0, 10)]


def test_photographs_of_one_object_are_one_work():
    objects = [f"o{number // 2}" for number in range(24)]
    works = made_works(object=objects)
    assert works.counts.tolist() == [2] * 6
    assert len(works.objects) == 12


def test_a_wrong_attribution_is_the_most_doubtful_one():
    works = made_works(artist=[*BY[:2], "Degas", *BY[3:]])
    found = doubts(works, evidence(works))
    assert found[0].one.name == "w2"
    assert works.artists[int(np.argmax(found[0].probabilities))] == "Cranach"


def test_an_artist_of_one_work_and_a_qualified_record_are_not_judged():
    single = made_works(artist=[*BY[:-1], "Rubens"])
    assert "w23" not in {each.one.name for each in doubts(single, evidence(single))}
    swapped = [*BY[:2], "Degas", *BY[3:]]
    qualified = made_works(artist=swapped, attribution=[*swapped[:2], "attributed to Degas", *swapped[3:]])
    assert "w2" not in {each.one.name for each in doubts(qualified, evidence(qualified))}


def test_expected_false_discoveries_never_fall_down_the_list_and_are_shares():
    spread = np.linspace(0.01, 12, 400)
    assert (np.diff(share_above(spread)) <= 0).all()
    shares = false_discoveries(sorted(spread.tolist(), reverse=True))
    assert all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares)
    assert false_discoveries([]) == []


@pytest.mark.parametrize("nats", [0.7, 3.0])  # of another model, or another collection
def test_right_attributions_alone_are_expected_to_be_right_and_wrong_ones_stand_out_at_any_scale(nats):
    shares = np.random.default_rng(3).uniform(size=300)
    at = np.linspace(0, 12, 1000)
    right = np.sort(nats * np.interp(-shares, -share_above(at), at))[::-1]
    assert false_discoveries(right.tolist())[19] > 0.7
    with_wrong = np.sort([*right, *(nats * np.linspace(9, 14, 30))])[::-1]
    assert false_discoveries(with_wrong.tolist())[19] < 0.15


def test_works_of_an_artist_elsewhere_speak_for_them_and_an_artist_who_is_not_there_is_as_likely_as_chance():
    works = made_works()
    towards = works.vectors[[0, 4, 8]]  # one work each by Cranach, Degas and Giotto
    elsewhere = Elsewhere(towards, np.zeros(24, np.float32), pd.Series(["cranach", None, "giotto"]))
    odds = elsewhere.odds(works.vectors[:1], works.keys, CALIBRATION.artists)[0]
    assert odds[works.keys.index("cranach")] == pytest.approx(np.log(2), abs=0.01)
    assert odds[works.keys.index("giotto")] < -1
    assert odds[works.keys.index("titian")] == 0
    alone, both = (next(evidence(works, given).of(works.objects[:1])) for given in (None, elsewhere))
    assert both.probabilities[works.keys.index("giotto")] < alone.probabilities[works.keys.index("giotto")]
    assert both.unknown == alone.unknown
    assert both.probabilities.sum() + both.unknown == pytest.approx(1)


def test_a_work_is_likelier_by_an_artist_of_its_time_and_its_own_date_is_no_evidence():
    years = pd.array([1520] * 4 + [1880] * 4 + [1310] * 4 + [1870] * 4 + [1540] * 4 + [None] * 4, dtype="Int64")
    dated, undated = made_works(year=years), made_works()
    with_dates, without = (next(evidence(works).of(works.objects[:1])).evidence for works in (dated, undated))
    gained = with_dates - without
    of = {name: gained[dated.keys.index(name)] for name in dated.keys}
    assert of["cranach"] > 0 > of["degas"]
    assert of["degas"] == pytest.approx(of["giotto"], abs=0.2)
    assert of["vermeer"] == 0  # none of theirs is dated
    years[0] = 1880  # a wrong date is evidence against the artist, though it is in the artist's own record
    moved = made_works(year=years)
    found = next(evidence(moved).of(moved.objects[:1])).evidence
    assert (found - without)[moved.keys.index("cranach")] < 0 < (found - without)[moved.keys.index("degas")]


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """Three artists, a wrong attribution, a mirrored copy, a second photograph, an unknown and a qualified work."""
    folder = tmp_path_factory.mktemp("museum")
    rows = []
    for number, (artist, hue) in enumerate(HUES.items()):
        for i in range(5):
            name = f"{artist[0]}{i}.png"
            painting(folder / name, 10 * number + i, hue)
            rows.append([f"{number}.{i}", artist, f"Work {i}", name])
    rows[1][1] = "Blue Painter"
    rows[6][1], rows[7][1] = "", "Follower of Red Painter"
    rows[8][2] = '=HYPERLINK("http://x")'
    with Image.open(folder / "B2.png") as original:
        ImageOps.mirror(original.resize((160, 160))).save(folder / "copy.png")
        ImageOps.grayscale(original).save(folder / "second.png")
    rows += [["T.1", "", "<script>alert(1)</script>", "copy.png"], [*rows[12][:3], "second.png"]]
    with (folder / "works.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["Object Number", "Artist", "Title", "Photo file"], *rows])
    (folder / "small.onnx").write_bytes(small_model())
    artidx.Index.build(folder / "i.artidx", folder / "works.csv", embedder=artidx.Embedder.load(folder / "small.onnx"))
    asked = CliRunner().invoke(
        command, ["review", str(folder / "i.artidx"), "--json", "-o", str(folder / "out")], catch_exceptions=False
    )
    return folder, [json.loads(line) for line in asked.stdout.splitlines()]


def test_findings_are_named_by_the_museums_numbers_and_name_people_only(museum):
    _, findings = museum
    by_kind = {
        kind: [each for each in findings if each["kind"] == kind] for kind in ("duplicate", "doubtful", "unattributed")
    }
    assert {frozenset(each["objects"]) for each in by_kind["duplicate"]} == {frozenset({"2.2", "T.1"})}
    assert "mirrored" in by_kind["duplicate"][0]["how"]
    assert by_kind["doubtful"][0]["objects"] == ["0.1"]
    assert by_kind["doubtful"][0]["recorded"] == "Blue Painter"
    assert by_kind["doubtful"][0]["candidates"][0]["artist"] == "Red Painter"
    assert {each["objects"][0] for each in by_kind["unattributed"]} == {"1.1", "1.2", "T.1"}
    assert {c["artist"] for each in findings for c in each["candidates"]} <= set(HUES)
    assert all(0 <= each["unknown"] <= 1 for each in by_kind["unattributed"])


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(museum):
    page = (museum[0] / "out" / "review.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert set(re.findall(r'(?:src|href)="([a-z]+):', page)) == {"data"}
    assert "break-inside: avoid" in page
    assert "not an attribution" in page


def test_a_cell_that_begins_like_a_formula_is_text(museum):
    sheet = openpyxl.load_workbook(museum[0] / "out" / "review.xlsx").active
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


def test_decisions_in_the_spreadsheet_are_read_back_for_all_photographs_of_an_object(museum):
    folder, _ = museum
    book = openpyxl.load_workbook(folder / "out" / "review.xlsx")
    sheet = book.active
    headings = [cell.value for cell in sheet[1]]
    with pytest.raises(BadCatalog, match="nothing was decided"):
        read_labels(folder / "out" / "review.xlsx")
    for row in sheet.iter_rows(min_row=2):
        if row[headings.index("object number")].value == "2.2":
            row[headings.index("decision")].value = "Cyan Painter (1600-1650)"
    book.save(folder / "decided.xlsx")
    index = artidx.Index.open(folder / "i.artidx")
    report, _ = index.label(read_labels(folder / "decided.xlsx"), by="curator")
    assert report.corrected == 2
    assert index.table.set_index("id")["artist"][["2.2", "2.2/second.png"]].tolist() == ["Cyan Painter"] * 2


def test_a_finding_whose_record_is_confirmed_in_the_spreadsheet_is_not_listed_again(museum):
    folder, _ = museum
    index, book = folder / "i.artidx", openpyxl.load_workbook(folder / "out" / "review.xlsx")
    headings = [cell.value for cell in book.active[1]]
    for row in book.active.iter_rows(min_row=2):
        cell = dict(zip(headings, row, strict=True))
        if (cell["kind"].value, cell["object number"].value) == ("doubtful", "0.1"):
            cell["decision"].value, cell["remark"].value = "Painter, Blue (1600-1650)", "signed"
    book.save(folder / "confirmed.xlsx")
    label = ["label", str(index), str(folder / "confirmed.xlsx"), "--by", "Anna"]
    assert "1 finding is left as recorded" in CliRunner().invoke(command, label, catch_exceptions=False).stderr

    asked = CliRunner().invoke(command, ["review", str(index), "-o", str(folder / "again")], catch_exceptions=False)
    assert "  0.1: " not in asked.stdout
    assert "Decided before, and not listed: 1;" in asked.stdout
    assert "0.1: Blue Painter" not in (folder / "again" / "review.html").read_text()
    headings, *rows = openpyxl.load_workbook(folder / "again" / "review.xlsx").active.iter_rows(values_only=True)
    last, is_decided = dict(zip(headings, rows[-1], strict=True)), headings.index("decided before")
    assert last["object number"] == "0.1"
    assert re.fullmatch(r"left as it is by Anna, \d{4}-\d\d-\d\d: signed", last["decided before"])
    assert all(row[is_decided] is None for row in rows[:-1])


def test_a_decision_stands_until_it_is_taken_back_or_the_record_changes():
    finding = Finding("doubtful", ("1",), (), "Titian", ("Titian",))
    review = Review((finding,), "i", 1, 1, 1, "model", "small", 1, "2026-01-01 00:00", 1, "made up", ())
    key = decisions.key_of("doubtful", ("1",), ("Titian",))
    left = decisions.Decision(key, "doubtful", ("1",), ("Titian",), "left", None, None, "Anna", "2026-11-30T09:00:00")
    assert decisions.parted(review, {key: left}) == (replace(review, findings=()), ((finding, left),))
    assert decisions.parted(review, {key: replace(left, state="open")}) == (review, ())
    corrected = replace(review, findings=(replace(finding, records=("Giorgione",)),))
    assert decisions.parted(corrected, {key: left}) == (corrected, ())


def test_two_decisions_on_one_work_are_refused(tmp_path):
    (tmp_path / "d.csv").write_text("id,decision\na,Monet\na,Manet\n")
    with pytest.raises(BadCatalog, match="two decisions on 'a'"):
        read_labels(tmp_path / "d.csv")


def test_csv_opens_right_in_excel(museum):
    folder, _ = museum
    (folder / "list.txt").write_text("id:0.0\nid:1.2\n=1+1.jpg\n")
    asked = CliRunner().invoke(
        command, ["nearest", "--list", str(folder / "list.txt"), "-k", "1", "--index", str(folder / "i.artidx")]
    )
    assert asked.stdout.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(asked.stdout.removeprefix("\ufeff"))))
    assert (rows[0]["object"], rows[0]["attribution"]) == ("0.0", "Red Painter")
    assert (rows[1]["object"], rows[1]["attribution"]) == ("1.2", "Follower of Red Painter")
    assert rows[2]["image"] == "'=1+1.jpg"


def test_a_note_on_one_question_is_a_page_with_its_pictures(museum, tmp_path):
    index = str(museum[0] / "i.artidx")
    for words in (["pair", "0.0", "0.2"], ["nearest", str(museum[0] / "R0.png")]):
        asked = CliRunner().invoke(command, [*words, "--index", index, "-o", str(tmp_path / "note.html")])
        assert asked.exit_code in (0, 1)
        page = (tmp_path / "note.html").read_text()
        assert page.count("data:image/jpeg") >= 2
        assert "generation" in page
