"""Images in object storage and on the web: read where that was allowed, and nowhere else, and never without an end."""

from __future__ import annotations

import http.server
import ssl
import threading
from datetime import UTC, datetime, timedelta

import fsspec
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from artidx import Index, read_catalog
from artidx.cli.main import artidx
from artidx.embedder import remote
from artidx.embedder.locations import Reader, absolute
from artidx.embedder.remote import Remote, is_remote
from artidx.errors import ArtidxError, BadCatalog, BadSetting, UnreachableStorage, UnreadableImage
from artidx.index.changes.build import Settings
from made import painting, watched
from storage import BUCKET, Storage

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
        monkeypatch.setitem(remote.S3, "retries", {"total_max_attempts": 2, "mode": "standard"})
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
        .output.count("already there, left with their labels: 6")
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
    monkeypatch.setattr(Remote.read, "__defaults__", (1.0,))
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


class _Web(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}  # noqa: RUF012

    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/a.png")
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                self.close_connection = True
        elif self.path in self.files:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.files[self.path])
        else:
            self.send_response(int(self.path[1:]) if self.path[1:].isdecimal() else 404)
            self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A web server with a certificate that is trusted here."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    trusting = ssl.create_default_context(cafile=pem)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    fsspec.get_filesystem_class("https").clear_instance_cache()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    fsspec.get_filesystem_class("https").clear_instance_cache()


def test_the_web_is_read_without_going_where_it_points(web, tmp_path, embedder):
    _Web.files = {"/a.png": painting(tmp_path / "a.png", 1).read_bytes()}
    names = ["a.png", "away", "endless", "none.png", "403"]
    (tmp_path / "t.csv").write_text("file\n" + "".join(f"{web}/{name}\n" for name in names))
    _, report = Index.build(
        tmp_path / "i.artidx",
        read_catalog(tmp_path / "t.csv"),
        embedder=embedder,
        settings=Settings(allowed=(web,), max_pixels=10_000, workers=1),
    )
    assert report.embedded == 1
    reasons = {path.rpartition("/")[2]: reason for path, reason in report.skipped}
    assert reasons["none.png"] == "no such object"
    assert reasons["403"] == "the server refuses it (403)"
    assert reasons["away"] == "the server points elsewhere, where nothing is allowed (302)"
    assert "file" in reasons["endless"]


def test_a_web_server_that_fails_stops_the_build(web, tmp_path):
    with pytest.raises(UnreachableStorage, match="the server answers 500"):
        Remote([web]).read(f"{web}/500", 100)
    with pytest.raises(UnreachableStorage, match="cannot be read"):
        Remote(["https://localhost:1"]).read("https://localhost:1/a.png", 100)
    with pytest.raises(BadSetting, match="the web has no lists of files"):
        read_catalog(f"{web}/folder", allowed=[web])
