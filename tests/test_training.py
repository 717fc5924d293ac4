"""The training kit: packed squares, batches, losses and miners, the loop, the student project's recipe."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from contextlib import nullcontext
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric

from artidx import Embedder, Index, read_catalog
from artidx.cli.main import artidx
from artidx.embedder.locations import Reader
from artidx.embedder.training import making
from artidx.embedder.training.data import packed as packed_module
from artidx.embedder.training.data.batches import Works, artists, epoch, pairs, triplets
from artidx.embedder.training.data.packed import pack, packed_examples
from artidx.embedder.training.loop import checkpoint
from artidx.embedder.training.loop.losses import contrastive_loss, hard_batch, semi_hard, triplet_loss
from artidx.embedder.training.loop.trainer import Labelled, TrainingSettings, embed, train
from artidx.embedder.training.networks.backbones import SiameseNetwork
from artidx.embedder.training.recipes import paper
from artidx.errors import BadCatalog, BadModel, BadSetting
from artidx.index.measure.retrieval import triplet_accuracy
from made import painting, quiet

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning_fabric.*", "ignore::FutureWarning"),
    pytest.mark.usefixtures("drawn_once"),
]


def silent(line):
    pass


# --- packed squares


def test_packed_squares_are_those_of_the_reader_in_the_order_of_the_table(tmp_path, collection, monkeypatch):
    monkeypatch.setattr(packed_module, "SHARD", 5)
    table = read_catalog(collection).table
    packed = pack(table, tmp_path / "work", 40)
    with Reader() as reader:
        for row in (0, 4, 5, 11):
            assert np.array_equal(packed.squares([row])[0], reader.square(table["path"][row], 40))
    x = packed[np.array([3, 7])]
    assert (x.shape, x.dtype) == ((2, 3, 40, 40), torch.uint8)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(packed_examples(tmp_path / "work", 40, 3), packed.squares([0, 1, 2]))


def test_packing_goes_on_where_it_was_and_sees_a_changed_file(tmp_path, collection, monkeypatch):
    monkeypatch.setattr(packed_module, "SHARD", 5)
    table = read_catalog(collection).table
    before = pack(table, tmp_path / "work", 40).squares(range(12))
    kept = sorted((tmp_path / "work" / "packed-40").glob("*.npy"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    kept[1].unlink()
    again = pack(table, tmp_path / "work", 40)
    assert np.array_equal(before, again.squares(range(12)))
    assert [kept[0].stat().st_mtime_ns, kept[2].stat().st_mtime_ns] == [stamps[0], stamps[2]]
    painting(collection.parent / table["path"][0], 99, (0, 0, 0))
    assert not np.array_equal(before[0], pack(table, tmp_path / "work", 40).squares([0])[0])
    assert len(list((tmp_path / "work" / "packed-40").glob("*.npy"))) == 3, "what it took the place of is gone"


def test_paintings_that_cannot_be_read_are_left_out_and_listed_with_their_reason(tmp_path, collection):
    bad = collection / "Red Painter" / "a.png"
    bad.write_bytes(b"not an image")
    table = read_catalog(collection).table
    packed = pack(table, tmp_path / "work", 40)
    assert list(table["path"][~packed.is_read]) == [str(bad)]
    listed = pd.read_csv(tmp_path / "work" / "packed-40" / "skipped.csv")
    assert list(listed["path"]) == [str(bad)]
    assert "not an image" in listed["reason"][0]
    assert len(packed_examples(tmp_path / "work", 40, 100)) == len(table) - 1


# --- batches

LABELS = np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13])


@given(st.integers(0, 2**32), st.integers(4, 40))
def test_pairs_and_triplets_are_what_they_are_called(seed, size):
    works = Works(LABELS)
    drawn = pairs(works, size, np.random.default_rng(seed))
    a, p, b, n = (drawn.places[place] for place in drawn.compared)
    assert len(drawn.places) == size // 4 * 4
    assert (LABELS[a] == LABELS[p]).all()
    assert (a != p).all()
    assert (LABELS[b] != LABELS[n]).all()
    drawn = triplets(works, size, np.random.default_rng(seed))
    a, p, n = (drawn.places[place] for place in drawn.compared)
    assert len(drawn.places) == size // 3 * 3
    assert (LABELS[a] == LABELS[p]).all()
    assert (a != p).all()
    assert (LABELS[a] != LABELS[n]).all()


@given(st.integers(0, 2**32), st.integers(4, 40), st.integers(2, 6))
def test_a_hard_batch_has_p_artists_with_k_different_paintings(seed, size, per_artist):
    drawn = artists(Works(LABELS), size, np.random.default_rng(seed), per_artist=per_artist)
    codes, counts = np.unique(LABELS[drawn.places], return_counts=True)
    assert len(set(drawn.places.tolist())) == len(drawn.places)
    assert len(codes) == min(max(size // per_artist, 2), 5)
    assert list(counts) == [min(per_artist, (code == LABELS).sum()) for code in codes]
    assert 0 not in codes, "an artist with one painting has no positive"


def test_pairs_of_two_artists_only_still_have_a_negative():
    drawn = pairs(Works(np.array([0, 0, 1, 1])), 400, np.random.default_rng(0))
    assert len(drawn.compared[0]) == 100
    labels = np.array([0, 0, 1, 1])[drawn.places]
    assert (labels[drawn.compared[2]] != labels[drawn.compared[3]]).all()


def test_an_epoch_is_drawn_anew_and_the_same_one_again_for_the_same_seed():
    def drawn(*seed):
        return [batch.places.tolist() for batch in epoch(lambda chance: triplets(Works(LABELS), 12, chance), 5, *seed)]

    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(0, 2)
    assert drawn(0, 1) != drawn(1, 1)


def test_training_on_one_artist_alone_is_refused():
    with pytest.raises(BadCatalog, match="two artists"):
        Works(np.array([0, 0, 0, 1, -1, -1]))


# --- losses and miners, against plain loops


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(4)
    vectors = torch.nn.functional.normalize(torch.randn(18, 5, generator=generator), dim=1)
    return vectors, torch.arange(18) % 4


def squared(vectors, i, j):
    return float(((vectors[i] - vectors[j]) ** 2).sum())


def every_triplet(labels):
    n = range(len(labels))
    return [(a, p, x) for a in n for p in n if p != a and labels[p] == labels[a] for x in n if labels[x] != labels[a]]


def test_triplet_loss_equals_the_loop(batch):
    vectors, labels = batch
    chosen = every_triplet(labels)[::7]
    expected = np.mean([max(0, squared(vectors, a, p) - squared(vectors, a, n) + 0.3) for a, p, n in chosen])
    found = triplet_loss(0.3)(vectors, labels, tuple(torch.tensor(chosen).T))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_contrastive_loss_equals_the_loop(batch):
    vectors, labels = batch
    same, other = [(0, 4), (1, 5), (2, 10)], [(0, 1), (3, 5), (6, 8)]
    expected = np.mean([squared(vectors, *pair) for pair in same]) + np.mean(
        [max(0, 1.5 - squared(vectors, *pair)) for pair in other]
    )
    found = contrastive_loss(1.5)(vectors, labels, (*torch.tensor(same).T, *torch.tensor(other).T))
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_hard_batch_equals_the_loop_over_every_triplet(batch):
    vectors, labels = batch
    expected = set()
    for anchor in range(18):
        mine = [(p, n) for a, p, n in every_triplet(labels) if a == anchor]
        farthest = max({p for p, _ in mine}, key=lambda p: squared(vectors, anchor, p))
        nearest = min({n for _, n in mine}, key=lambda n: squared(vectors, anchor, n))
        expected.add((anchor, farthest, nearest))
    found = hard_batch()(vectors, labels)
    assert set(zip(*(part.tolist() for part in found), strict=True)) == expected


def test_semi_hard_equals_the_loop_over_every_triplet(batch):
    vectors, labels = batch
    expected = {
        (a, p, n) for a, p, n in every_triplet(labels) if 0 < squared(vectors, a, n) - squared(vectors, a, p) <= 0.4
    }
    found = semi_hard(0.4)(vectors, labels)
    assert set(zip(*(part.tolist() for part in found), strict=True)) == expected


# --- the network


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_siamese_network_gives_unit_vectors_even_where_nothing_is_excited(batch_norm):
    network = SiameseNetwork(32, (4, 6, 6, 8), 5, 16, 12, 0.1, batch_norm)
    kinds = [type(module).__name__ for module in network.blocks]
    block = ["Conv2d", *(["BatchNorm2d"] if batch_norm else []), "ReLU", "MaxPool2d", "Dropout"]
    assert kinds == block * 4
    assert [type(module).__name__ for module in network.head] == ["Flatten", "Linear", "ReLU", "Linear", "ReLU"]
    x = torch.randint(0, 256, (3, 3, 32, 32)).float()
    found = network(x)
    assert found.shape == (3, 12)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    torch.nn.init.constant_(network.head[3].bias, -1e3)
    torch.testing.assert_close(network(x), torch.full((3, 12), 12**-0.5))


def test_weights_begin_as_kaiming_has_them():
    torch.manual_seed(0)
    network = SiameseNetwork(64, (32, 64), 5, 256, 64, 0.0, False)
    assert float(network.blocks[4].weight.detach().std()) == pytest.approx((2 / (32 * 25)) ** 0.5, rel=0.02)
    assert float(network.head[1].weight.detach().std()) == pytest.approx((2 / (64 * 16 * 16)) ** 0.5, rel=0.02)
    assert not network.blocks[4].bias.any()


# --- the loop


class Points:
    """Inputs that are vectors already: 6 artists around centres of their own."""

    def __init__(self, count=120):
        chance = np.random.default_rng(0)
        self.artists = np.arange(count) % 6
        self.x = torch.from_numpy(
            (chance.normal(size=(6, 8))[self.artists] + chance.normal(size=(count, 8))).astype(np.float32)
        )

    def __getitem__(self, places):
        return self.x[torch.from_numpy(places)]

    def split(self, start, stop):
        return Labelled(self, np.arange(start, stop), self.artists[start:stop])


class Direction(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 4))

    def forward(self, x):
        return torch.nn.functional.normalize(self.line(x), dim=1)


def trained(folder, settings, bar=quiet, precision="32-true"):
    torch.manual_seed(3)
    network, points = Direction(), Points()
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    history = train(
        network, points.split(0, 80), points.split(80, 120), folder, settings, fabric, triplet_accuracy, silent, bar
    )
    return network, history


def results(history):
    return [
        (e.training_loss, e.validation_loss, e.training_accuracy, e.validation_accuracy, e.learning_rate)
        for e in history
    ]


@pytest.mark.parametrize("batches", ["hard", "triplets", "pairs"])
def test_training_makes_validation_paintings_of_one_artist_nearer_to_each_other(tmp_path, batches):
    settings = TrainingSettings(
        batches=batches, epochs=8, warm_up_epochs=4, learning_rate=0.01, margin=0.5, batches_per_epoch=20
    )
    network, history = trained(tmp_path, settings)
    assert history[-1].training_loss < history[0].training_loss or batches == "hard"
    assert max(e.validation_accuracy for e in history) > 0.75
    points = Points()
    fabric = Fabric(accelerator="cpu", devices=1)
    kept = triplet_accuracy(embed(network, points, np.arange(80, 120), fabric), points.artists[80:])
    assert kept == max(e.validation_accuracy for e in history), "the best epoch is kept"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_killed_in_mid_epoch_goes_on_to_the_same_result(tmp_path):
    settings = TrainingSettings(epochs=6, warm_up_epochs=2, learning_rate=0.01, patience=6, batches_per_epoch=8)
    expected, whole = trained(tmp_path / "whole", settings)
    batches = 0

    def killing(total, what):
        def advance(done):
            nonlocal batches
            batches += done
            if batches == 2 * settings.batches_per_epoch + 5:
                raise KeyboardInterrupt

        return nullcontext(advance)

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", settings, killing)
    network, history = trained(tmp_path / "killed", settings)
    assert results(history) == results(whole)
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_stops_when_patience_is_at_its_end_and_the_learning_rate_falls_before(tmp_path):
    settings = TrainingSettings(epochs=60, learning_rate=1.0, patience=3, batches_per_epoch=3)
    _, history = trained(tmp_path, settings)
    best = max(history, key=lambda e: e.validation_accuracy).epoch
    assert len(history) == best + 3 < 60
    rates = [e.learning_rate for e in history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1.0


def test_a_finished_run_is_not_trained_again(tmp_path):
    settings = TrainingSettings(epochs=2, batches_per_epoch=4)
    _, history = trained(tmp_path, settings)
    stamp = (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns
    assert trained(tmp_path, settings)[1] == history
    assert (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns == stamp


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.arange(3)}, {"history": []})
    tensors, facts = checkpoint.load(path)
    assert (tensors["a"].tolist(), facts) == ([0, 1, 2], {"history": []})
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(BadModel, match="damaged"):
        checkpoint.load(path)


# --- the recipe


def test_artists_are_dealt_so_that_groups_have_alike_many_paintings():
    counts = [9, 8, 7, 6, 5, 4, 3, 2, 1]
    groups = paper.deal(np.repeat(np.arange(9), counts), 2, 3)
    assert [group.tolist() for group in groups] == [[0, 2, 4], [1, 3, 5]]
    assert [g.tolist() for g in paper.deal(np.repeat(np.arange(9), counts), 2, 30)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    with pytest.raises(BadCatalog, match="fewer"):
        paper.deal(np.repeat(np.arange(9), counts), 5, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sizes = 64", "sizes"),
        ("[network]\nkernel = 4", "odd"),
        ("[member_training]\nbatch_size = 1", "batch_size"),
        ("size = 32\n[network]\nchannels = [1, 1, 1, 1, 1, 1]", "too small for"),
        ("size =", "not TOML"),
        ("[member_training]\nmargin = inf", "member_training.margin"),
    ],
)
def test_settings_that_cannot_work_are_one_clear_line(tmp_path, text, says):
    refused("paper", tmp_path, text, says)


MEMBER = """
[[members]]
backbone = "mobilenet_v2"
frozen = 1
epochs = 1
rate = 1e-3
"""


@pytest.mark.parametrize(
    ("recipe", "text", "says"),
    [
        ("linear", "backbones = []", "backbones: Tuple should have at least 1 item"),
        ("linear", 'backbones = ["a", "a"]', "backbones: Value error, a backbone is named twice"),
        ("linear", "shrinkage = 2", "shrinkage: Input should be less than or equal to 1"),
        ("linear", "dims = 2", "dims: Extra inputs are not permitted"),
        (
            "tuned",
            MEMBER.replace("mobilenet_v2", "vgg"),
            "members.0.backbone: Value error, vgg is none of mobilenet_v2",
        ),
        ("tuned", MEMBER.replace("epochs = 1", "epochs = 0"), "members.0.epochs"),
        ("tuned", MEMBER.replace("rate = 1e-3", ""), "members.0.rate: Field required"),
        ("tuned", MEMBER.replace("rate = 1e-3", "rate = 0"), "members.0.rate: Input should be greater than 0"),
        ("tuned", MEMBER.replace("frozen = 1", "frozen = -1"), "members.0.frozen"),
        ("tuned", MEMBER + "weight = 0", "members.0.weight: Input should be greater than 0"),
        ("distilled", "epochs = 0", "epochs: Input should be greater than or equal to 1"),
        ("tuned", MEMBER + MEMBER, "members: Value error, two members have the same backbone"),
        ("tuned", "[fine_tuning]\nmargin = nan", "fine_tuning.margin: Input should be a finite number"),
        ("distilled", "[teacher.head]\nof_style = -1", "teacher.head.of_style"),
        ("distilled", "seed = -1", "seed: Input should be greater than or equal to 0"),
    ],
)
def test_settings_of_every_recipe_are_refused_by_the_name_of_the_key(tmp_path, recipe, text, says):
    refused(recipe, tmp_path, text, says)


def refused(recipe, folder, text, says):
    path = folder / "settings.toml"
    path.write_text(text)
    with pytest.raises(BadSetting) as problem:
        making.settings_of(recipe, path)
    line = str(problem.value)
    assert line.startswith(f"{path}: ")
    assert says in line
    assert "\n" not in line


def test_a_settings_file_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(BadSetting, match=r"nothing\.toml: cannot be read: No such file"):
        making.settings_of("tuned", tmp_path / "nothing.toml")


@pytest.mark.parametrize("recipe", making.RECIPES)
def test_the_example_of_each_recipes_settings_in_the_docs_is_what_it_has_without_a_file(tmp_path, recipe):
    docs = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    examples = dict(re.findall(r"```toml\n# (\w+)[^\n]*\n(.*?)```", docs, re.DOTALL))
    assert {*making.RECIPES} <= {*examples}
    path = tmp_path / "settings.toml"
    path.write_text(examples[recipe])
    expected = making.settings_of(recipe, None)
    assert making.settings_of(recipe, path) == expected
    named = tomllib.loads(examples[recipe])
    assert set(named) == {*type(expected).model_fields} - {"teacher", "super_training"}, "all of them"


def test_backbones_of_the_command_line_win_over_those_of_the_file(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('backbones = ["xception"]\ndim = 32')
    found = making.settings_of("linear", path, ("resnet18",))
    assert (found.backbones, found.dim) == (("resnet18",), 32)
    with pytest.raises(BadSetting, match="backbones: Value error, a backbone is named twice"):
        making.settings_of("linear", None, ("a", "a"))


TINY = """
size = 32
members = 2
artists_per_member = 2
freeze_members = {frozen}
[network]
channels = [8, 8]
hidden = 32
dim = 6
[member_training]
batches_per_epoch = 12
epochs = 2
[super_training]
batches_per_epoch = 12
epochs = 2
"""


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    """Six artists with eight paintings each; a split column."""
    folder, rows = tmp_path_factory.mktemp("paintings"), []
    for number in range(6):
        for i in range(8):
            name = f"{number}-{i}.png"
            painting(folder / "images" / name, 10 * number + i, ((number * 40) % 256, (number * 90) % 256, 128))
            split = "val_unseen" if number > 3 else "val_seen" if i > 4 else "train"
            rows.append({"filename": name, "artist": f"Artist {number}", "split": split})
    pd.DataFrame(rows).to_csv(folder / "paintings.csv", index=False)
    return folder / "paintings.csv"


@pytest.fixture
def catalog(paintings):
    """The catalog of the paintings, for a test to change."""
    before = paintings.read_bytes()
    yield paintings
    paintings.write_bytes(before)


def run(*arguments):
    found = CliRunner().invoke(artidx, [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False)
    return found.output


def trained_by_the_paper(folder, catalog, text):
    """The run's folder of work and its model file."""
    (folder / "settings.toml").write_text(text)
    work, model = folder / "work", folder / "model.onnx"
    settings = ("--settings", folder / "settings.toml")
    run("train", catalog, "--recipe", "paper", *settings, "--work", work, "-o", model, "--name", "tiny")
    return work, model


@pytest.fixture(scope="module")
def together(tmp_path_factory, paintings):
    """Members and joining matrix trained together: the folder of work and the model file."""
    return trained_by_the_paper(tmp_path_factory.mktemp("together"), paintings, TINY.format(frozen="false"))


@pytest.mark.parametrize("is_frozen", [False, True])
def test_the_papers_recipe_ends_in_a_model_that_build_takes(tmp_path, catalog, is_frozen, request):
    if is_frozen:
        work, model = trained_by_the_paper(tmp_path, catalog, TINY.format(frozen="true"))
    else:
        work, model = request.getfixturevalue("together")
    assert sorted(path.parent.name for path in work.rglob("curves.png")) == ["member-01", "member-02", "super"]
    card = model.with_suffix(".md").read_text()
    assert "| super | 2 |" in card
    embedder = Embedder.load(model)
    assert (embedder.name, embedder.size, embedder.dim) == ("tiny", 32, 12)
    index, _ = Index.build(tmp_path / "p.artidx", catalog, embedder=embedder)
    assert len(index) == 48
    assert index.pair("0-0.png", "0-1.png").distance < 2

    run("export", work, "-o", tmp_path / "super.onnx")
    squares = packed_examples(work, 32, 8)
    assert np.array_equal(Embedder.load(tmp_path / "super.onnx").infer(squares), embedder.infer(squares))


def test_one_member_of_a_run_is_exported_alone(tmp_path, together):
    run("export", together[0], "-o", tmp_path / "one.onnx", "--network", "member-02")
    assert Embedder.load(tmp_path / "one.onnx").dim == 6


def test_a_run_is_not_continued_with_other_settings_or_other_labels(tmp_path, catalog, together):
    shutil.copytree(together[0], tmp_path / "work")
    with pytest.raises(BadSetting, match="other settings"):
        trained_by_the_paper(tmp_path, catalog, TINY.format(frozen="true"))
    catalog.write_text(catalog.read_text().replace("Artist 3", "Artist 2"))
    with pytest.raises(BadSetting, match="other labels"):
        trained_by_the_paper(tmp_path, catalog, TINY.format(frozen="false"))


def test_a_group_that_cannot_be_validated_is_told_before_training_and_leaves_no_settings(tmp_path, catalog):
    text = catalog.read_text().replace("0-7.png,Artist 0,val_seen", "0-7.png,Artist 0,train")
    catalog.write_text(text.replace("0-6.png,Artist 0,val_seen", "0-6.png,Artist 0,train"))
    with pytest.raises(BadCatalog, match=r"member-0[12] cannot be validated.*val_seen"):
        trained_by_the_paper(tmp_path, catalog, TINY.format(frozen="false"))
    assert not (tmp_path / "work" / "paper").exists()


@pytest.mark.parametrize(("recipe", "option"), [("linear", "--devices=2"), ("paper", "--weights=x")])
def test_an_option_of_the_other_recipe_is_refused(tmp_path, catalog, recipe, option):
    with pytest.raises(click.UsageError, match=f"not for the recipe {recipe}"):
        run("train", catalog, "--recipe", recipe, option, "--work", tmp_path / "w", "-o", tmp_path / "m.onnx")


def test_what_is_exported_must_have_been_trained(tmp_path):
    with pytest.raises(BadModel, match="no run"):
        run("export", tmp_path, "-o", tmp_path / "m.onnx")


def test_one_member_for_all_artists_is_the_plain_network(tmp_path, catalog):
    one = TINY.format(frozen="false").replace("members = 2", "members = 1")
    work, model = trained_by_the_paper(tmp_path, catalog, one)
    assert not (work / "paper" / "super").exists()
    assert Embedder.load(model).dim == 6
    assert json.loads((work / "paper" / "settings.json").read_text())["settings"]["members"] == 1
