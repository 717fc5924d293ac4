"""Images in object storage and on the web: read where that was allowed, and nowhere else, and never without an end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from click.testing import CliRunner

from artidx import Index, read_catalog
from artidx.cli.main import artidx
from artidx.embedder import locations
from artidx.embedder.locations import Reader, Remote, absolute, is_remote
from artidx.errors import ArtidxError, BadCatalog, BadSetting, UnreachableStorage, UnreadableImage
from artidx.files import cache_folder
from artidx.index.changes.build import Settings
from made import painting, watched
from storage import BUCKET, Storage
from web import Web

ROOT = f"s3://{BUCKET}/"
ALLOWED = (ROOT,)


@pytest.fixture
def storage(monkeypatch, tmp_path):
    with Storage() as found:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": found.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(locations.S3, "retries", {"total_max_attempts": 2, "mode": "standard"})
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        for artist in ("Red", "Blue"):
            for number in range(3):
                path = painting(tmp_path / "local" / artist / f"{number}.png", hash(artist) % 99 + number)
                found.put(f"all/{artist}/{number}.png", path.read_bytes())
        yield found
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_folder_in_a_storage_is_built_like_one_on_disk(storage, tmp_path, embedder):
    catalog = read_catalog(f"{ROOT}all", allowed=ALLOWED)
    index, report = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=Settings(allowed=ALLOWED))
    local, _ = Index.build(tmp_path / "l.artidx", tmp_path / "local", embedder=embedder)
    assert report.embedded == 6
    ours, theirs = index.generation.table, local.generation.table
    assert ours.drop(columns="path").equals(theirs.drop(columns="path"))
    assert ours["path"][0] == f"{ROOT}all/Blue/0.png"
    assert index.generation.vectors.matrix.tobytes() == local.generation.vectors.matrix.tobytes()


def test_a_table_names_images_beside_it_and_anywhere(storage, tmp_path, embedder):
    storage.put("all/table.csv", f"file,artist\nRed/0.png,Ann\n{ROOT}all/Blue/1.png,Bea\n".encode())
    catalog = read_catalog(f"{ROOT}all/table.csv", allowed=ALLOWED)
    assert catalog.table["path"].tolist() == [f"{ROOT}all/Red/0.png", f"{ROOT}all/Blue/1.png"]
    (tmp_path / "here.csv").write_text(f"file,artist\n{ROOT}all/Red/0.png,Ann\n")
    here = read_catalog(tmp_path / "here.csv")
    _, report = Index.build(tmp_path / "i.artidx", here, embedder=embedder, settings=Settings(allowed=ALLOWED))
    assert report.embedded == 1


def test_the_command_line_reads_what_it_is_allowed_to(storage, tmp_path, model_file):
    words = ["build", f"{ROOT}all", "-o", str(tmp_path / "i.artidx"), "--model", str(model_file)]
    refused = CliRunner().invoke(artidx, words)
    assert isinstance(refused.exception, BadCatalog)
    assert f"not below an allowed prefix; allow it with --allow {ROOT}" in str(refused.exception)
    assert CliRunner().invoke(artidx, [*words, "--allow", ROOT], catch_exceptions=False).exit_code == 0
    assert (
        CliRunner()
        .invoke(
            artidx,
            ["add", str(tmp_path / "i.artidx"), f"{ROOT}all"],
            env={"ARTIDX_ALLOW": ROOT},
            catch_exceptions=False,
        )
        .output.count("already in the index, unchanged: 6")
        == 1
    )


def test_one_bad_object_stops_nothing(storage, tmp_path, embedder):
    storage.put("all/Red/bad.png", b"no image")
    storage.put("all/Red/empty.png", b"")
    table = "file\nRed/0.png\nRed/none.png\nRed/bad.png\nRed/empty.png\ns3://other/x.png\n"
    storage.put("all/table.csv", table.encode())
    catalog = read_catalog(f"{ROOT}all/table.csv", allowed=ALLOWED)
    _, report = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=Settings(allowed=ALLOWED))
    reasons = {path.rpartition("/")[2]: reason for path, reason in report.skipped}
    assert report.embedded == 1
    assert reasons["none.png"] == "no such object"
    assert reasons["bad.png"].startswith("not an image")
    assert "empty" in reasons["empty.png"]
    assert reasons["x.png"] == "not below an allowed prefix; allow it with --allow s3://other/"


def test_expired_credentials_stop_the_build_and_keep_what_is_done(storage, tmp_path, embedder, monkeypatch):
    monkeypatch.setattr("artidx.index.changes.build.SHARD", 2)
    settings = Settings(allowed=ALLOWED, workers=1)
    catalog = read_catalog(f"{ROOT}all", allowed=ALLOWED)

    def expiring(done):
        expiring.seen += done
        storage.expired = expiring.seen >= 4

    expiring.seen = 0
    with pytest.raises(UnreachableStorage, match=r"provided token has expired.*, and run the same again"):
        Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=settings, bar=watched(expiring))
    storage.expired = False
    _, report = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=settings)
    assert report.resumed >= 2
    assert report.resumed + report.embedded == 6
    assert not report.skipped


def test_a_storage_that_fails_is_asked_again_and_then_stops_the_build(storage, tmp_path, embedder):
    catalog = read_catalog(f"{ROOT}all", allowed=ALLOWED)
    storage.broken, storage.asked = True, []
    with pytest.raises(UnreachableStorage, match="cannot be read"):
        Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=Settings(allowed=ALLOWED, workers=1))
    assert storage.asked.count("/scans/all/Blue/0.png") >= 2


def test_an_object_that_drips_is_given_up(storage, tmp_path, embedder, monkeypatch):
    storage.slow.add("1.png")
    monkeypatch.setattr(Remote.read, "__defaults__", (1.0, 0.0))
    catalog = read_catalog(f"{ROOT}all/Red", allowed=ALLOWED)
    _, report = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=Settings(allowed=ALLOWED))
    assert (report.embedded, dict(report.skipped)) == (2, {f"{ROOT}all/Red/1.png": "took longer than 1 s to read"})


def test_an_object_that_is_too_large_is_not_read_whole(storage):
    storage.put("large.bin", b"x" * 100_000)
    assert len(Remote(ALLOWED).read(f"{ROOT}large.bin", 1000)) == 1001
    storage.put("larger.png", b"x" * (17 << 20))
    with Reader(1, ALLOWED) as reader, pytest.raises(UnreadableImage, match="file"), reader.open(f"{ROOT}larger.png"):
        pass


def test_paintings_in_a_storage_are_not_gone_because_nobody_looks(storage, tmp_path, embedder):
    catalog = read_catalog(f"{ROOT}all", allowed=ALLOWED)
    index, _ = Index.build(tmp_path / "i.artidx", catalog, embedder=embedder, settings=Settings(allowed=ALLOWED))
    report = index.add(tmp_path / "local")  # the same paintings, as files
    assert (report.already_there, report.moved, len(index)) == (6, (), 6)


@pytest.mark.parametrize(
    "location",
    [
        "s3://scans-evil/a.png",
        "s3://scan/a.png",
        "https://scans/a.png",
        "s3://scans/../other/a.png",
        "s3://scans/./a.png",
        "s3://scans/a\nb.png",
        "S3://scans/a.png",
        "s3://scans\\a.png",
        "https://web/scans/..?x=1",
        "https://web/scans/..#a",
        "https://web/scans/%2E%2e/a.png",
        "https://web/scans/a b.png",
        "https://web/scans/..\\a.png",
    ],
)
def test_nothing_outside_the_allowed_prefix_is_read(location):
    with pytest.raises(UnreadableImage):
        Remote((*ALLOWED, "https://web/scans")).check(location)


@pytest.mark.parametrize("prefix", ["scans", "/scans", "file:///scans", "s3://", "http://host/", "ftp://host/a"])
def test_a_prefix_that_allows_too_much_or_nothing_is_refused(prefix):
    with pytest.raises(BadSetting, match="expected such as s3://bucket/folder"):
        Remote([prefix])


def test_a_key_in_a_storage_may_be_any_text(storage, tmp_path, embedder):
    path = painting(tmp_path / "x.png", 3)
    storage.put("new/Claude Monet/Été 100%2e.png", path.read_bytes())
    index, report = Index.build(
        tmp_path / "i.artidx", f"{ROOT}new", embedder=embedder, settings=Settings(allowed=ALLOWED)
    )
    assert (report.embedded, index.generation.table["artist"][0]) == (1, "Claude Monet")


def test_addresses_are_told_from_files():
    assert [
        is_remote(name)
        for name in ("s3://a/b", "gs://a", "abfs://a", "https://a/b", "http://a", "a/b", "C://a", "s3:/a", "s3")
    ] == [True] * 4 + [False] * 5
    assert absolute("s3://a/b.png") == "s3://a/b.png"


def test_a_question_never_goes_out_to_a_storage(index):
    with pytest.raises(ArtidxError, match="neither a file nor the id"):
        index.nearest(f"{ROOT}all/Red/0.png")


# The web.


@pytest.fixture
def web(tmp_path, monkeypatch):
    with Web(tmp_path, monkeypatch) as found:
        yield found


def test_the_web_is_read_without_going_where_it_points(web, tmp_path, embedder):
    web.files = {"/a.png": painting(tmp_path / "a.png", 1).read_bytes()}
    web.answers |= {"/away": [302], "/403": [403], "/500": [500]}
    names = ["a.png", "away", "endless", "none.png", "403", "500"]
    (tmp_path / "t.csv").write_text("file\n" + "".join(f"{web.url}/{name}\n" for name in names))
    _, report = Index.build(
        tmp_path / "i.artidx",
        read_catalog(tmp_path / "t.csv"),
        embedder=embedder,
        settings=Settings(allowed=(web.url,), max_pixels=10_000, workers=1),
    )
    assert report.embedded == 1
    reasons = {path.rpartition("/")[2]: reason for path, reason in report.skipped}
    assert reasons["none.png"] == "no such object"
    assert reasons["403"] == "the server refuses it (403)"
    assert reasons["500"] == "the server answers 500"
    assert reasons["away"] == "the server points elsewhere, where nothing is allowed (302)"
    assert "file" in reasons["endless"]


def test_a_web_server_that_is_busy_is_asked_again_and_one_that_is_away_stops_the_build(web):
    remote = Remote([web.url])
    web.files = {"/a": b"data"}
    web.answers["/a"] = [503, 429]
    assert remote.read(f"{web.url}/a", 100) == b"data"
    web.answers["/b"] = [429] * 3
    with pytest.raises(UnreachableStorage, match="the server answers 429, time after time"):
        remote.read(f"{web.url}/b", 100)
    for number in range(7):  # each of them may be the object's own problem; so many are not
        web.answers[f"/{number}"] = [500]
        with pytest.raises(UnreadableImage, match="the server answers 500"):
            remote.read(f"{web.url}/{number}", 100)
    web.answers["/7"] = [500]
    with pytest.raises(UnreachableStorage, match="the server answers 500"):
        remote.read(f"{web.url}/7", 100)
    with pytest.raises(UnreachableStorage, match="cannot be read"):
        Remote(["https://localhost:1"]).read("https://localhost:1/a.png", 100)
    with pytest.raises(BadSetting, match="the web cannot list files"):
        remote.listing(f"{web.url}/folder")


def test_what_was_fetched_is_not_asked_for_twice_and_then_only_whether_it_has_changed(web, monkeypatch):
    web.files = {"/a": b"data", "/b": b"other"}
    address = f"{web.url}/a"
    assert Remote([web.url]).read(address, 100) == b"data"
    assert Remote([web.url]).read(address, 100) == b"data"
    assert web.asked == ["/a"]
    with pytest.raises(UnreadableImage, match="not below an allowed prefix"):
        Remote(["https://elsewhere"]).read(address, 100)
    assert Remote([web.url]).read(address, 100, fresh_s=0) == b"data"  # 304
    web.files["/a"] = b"changed"
    assert Remote([web.url]).read(address, 100, fresh_s=0) == b"changed"
    (kept,) = (cache_folder() / "web").glob("*/*")
    kept.write_bytes(kept.read_bytes()[:-1])  # cut short by a power failure
    assert Remote([web.url]).read(address, 100) == b"changed"
    assert web.asked == ["/a"] * 4
    monkeypatch.setattr("artidx.embedder.fetched.MOST_BYTES", 10)  # of which no file is as small
    assert Remote([web.url]).read(f"{web.url}/b", 100) == b"other"
    assert not [*(cache_folder() / "web").glob("*/*")]


def test_a_host_is_asked_for_few_at_once(web):
    remote = Remote([web.url])
    web.files = {f"/{number}": b"data" for number in range(40)}
    with ThreadPoolExecutor(16) as pool:
        assert {*pool.map(lambda path: remote.read(web.url + path, 100), web.files)} == {b"data"}
    assert web.at_once <= 4
