"""The tuned recipe: members that begin at their discriminants, are fine-tuned, and are joined; and its student."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from lightning_fabric import Fabric
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression, Ridge

from artidx import Embedder
from artidx.cli.main import artidx
from artidx.embedder.catalogs.catalog import read_catalog
from artidx.embedder.training.data import crops
from artidx.embedder.training.loop import checkpoint
from artidx.embedder.training.loop.losses import artist_softmax
from artidx.embedder.training.loop.schedules import pace
from artidx.embedder.training.networks.backbones import BACKBONES
from artidx.embedder.training.networks.ensemble import Ensemble, Projection
from artidx.embedder.training.networks.posteriors import (
    CONFIDENCE,
    ITERATIONS,
    NUISANCE,
    MeanPosterior,
    Posterior,
    Question,
    posterior_of,
    principal,
    with_posteriors,
)
from artidx.embedder.training.recipes import distilled, fine_tuning, joining, linear, training_set, tuned
from artidx.embedder.training.recipes.fine_tuning import (
    FineTuningSettings,
    MemberRecipe,
    MemberSettings,
    learn_rest,
    train_member,
)
from artidx.embedder.training.settings import read_settings
from artidx.errors import BadCatalog, BadSetting
from artidx.index.measure.retrieval import triplet_accuracy
from made import interrupting, painting, quiet
from made_backbone import TinyBackbone

pytestmark = pytest.mark.usefixtures("drawn_once")
OWN = MemberSettings.model_construct(backbone="tiny", frozen=1, epochs=3, again=2, rest=2, rate=1e-3, weight=0.5)
RECIPE = MemberRecipe(OWN, FineTuningSettings(dim=4))
TUNED = """
[fine_tuning]
dim = 4
[head]
dim = 4
joined_dim = 6
[linear]
backbones = ["tiny"]
[[members]]
backbone = "tiny"
frozen = 1
epochs = 3
again = 2
rest = 2
rate = 1e-3
weight = 0.5
"""
DISTILLED = """
backbone = "tiny"
frozen = 1
epochs = 3
""" + TUNED.replace("[[", "[[teacher.").replace("\n[", "\n[teacher.").replace("[teacher.[", "[[")


def settings_file(folder, text):
    path = folder / "settings.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    """A folder with the tiny backbone's weights."""
    folder = tmp_path_factory.mktemp("backbones")
    save_file(
        {k: v for k, v in TinyBackbone().state_dict().items() if k not in ("mean", "std")}, folder / "tiny.safetensors"
    )
    return folder


@pytest.fixture
def weights(backbones, monkeypatch):
    """The folder of weights, and the recipe cut down to them."""
    cut_down(monkeypatch)
    return backbones


def cut_down(patch):
    kind = BACKBONES["mobilenet_v2"]._replace(
        make=TinyBackbone, weights_file="tiny.safetensors", rename=str, channels=(5, 7)
    )
    patch.setitem(BACKBONES, "tiny", kind)
    for owner in (training_set, joining, linear, distilled):
        patch.setattr(owner, "SIZE", 48)
    for name, value in {"CROP": 24, "SCALED": 32, "BATCH": 8}.items():
        patch.setattr(crops, name, value)
    patch.setattr("artidx.embedder.training.making.SIZE", 48)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    """Six artists with eight paintings each, and one with a single one; a split column."""
    folder, rows = tmp_path_factory.mktemp("paintings"), []
    for number in range(7):
        for i in range(8 if number < 6 else 1):
            name = f"{number}-{i}.png"
            painting(folder / "images" / name, 10 * number + i, ((number * 40) % 256, (number * 90) % 256, 128))
            split = "val_unseen" if number in (4, 5) else "val_seen" if i > 4 else "train"
            rows.append({"filename": name, "artist": f"Artist {number}", "split": split})
    pd.DataFrame(rows).to_csv(folder / "paintings.csv", index=False)
    return folder / "paintings.csv"


@pytest.fixture
def catalog(paintings):
    """The catalog of the paintings, for a test to change."""
    before = paintings.read_bytes()
    yield paintings
    paintings.write_bytes(before)


def member(folder, weights, catalog, bar=quiet, recipe=RECIPE):
    table = read_catalog(str(catalog)).table
    notes = []
    data = training_set.data_of(table, folder, notes.append, bar)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    found = train_member(recipe, weights, data, folder / "member", fabric, triplet_accuracy, notes.append, bar)
    return found, notes, data


class Done(NamedTuple):
    """A run, finished: where its work is kept, and what came of it."""

    work: Path
    found: Any
    notes: list[str]
    more: Any

    def copied_to(self, folder, *but):
        """All that was kept, without folders of these names."""
        shutil.copytree(self.work, folder, ignore=shutil.ignore_patterns(*but))
        return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, backbones, paintings):
    """A member; more: the data it was trained on."""
    work = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        cut_down(patch)
        return Done(work, *member(work, backbones, paintings))


def test_artists_with_one_painting_are_not_trained_on_and_unseen_ones_never_looked_at(trained):
    data = trained.more
    assert len(data.training.places) == 4 * 5
    assert len(data.validation.places) == 4 * 3
    assert set(data.training.artists) == set(data.validation.artists) == {0, 1, 2, 3}


def test_the_frozen_part_stays_and_the_rest_learns(trained):
    backbone, before = trained.found.members[0], TinyBackbone()
    assert torch.equal(backbone.blocks[0][0].weight, before.blocks[0][0].weight)
    assert backbone.blocks[0][1].num_batches_tracked == 4 * 3, "statistics are learnt after the first epoch of five"
    assert not torch.equal(backbone.blocks[1].weight, before.blocks[1].weight)
    assert len(trained.notes) == 5
    assert (trained.work / "member" / "curves.png").exists()


@pytest.mark.parametrize("number", [3, 5])  # in the first cycle and in the second
def test_a_member_killed_in_mid_epoch_goes_on_to_the_same_result(number, trained, tmp_path, weights, catalog):
    with pytest.raises(KeyboardInterrupt):
        member(tmp_path / "killed", weights, catalog, interrupting(f"epoch {number}"))
    resumed = member(tmp_path / "killed", weights, catalog)[0]
    for name, value in trained.found.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_member_has_the_mean_of_the_weights_at_the_ends_of_both_cycles(trained, tmp_path, weights, catalog):
    found = trained.found.state_dict()
    stored = checkpoint.load(trained.work / "member" / "checkpoint.safetensors")[0]
    first, last = (checkpoint.without_prefix(prefix, stored) for prefix in ("first.", "member."))
    alone = member(tmp_path / "alone", weights, catalog, recipe=changed(again=0))[0].state_dict()
    for name, value in found.items():
        if value.is_floating_point():
            assert torch.equal(value, (first[name] + last[name]) / 2), name
            assert torch.equal(first[name], alone[name]), name
    assert not torch.equal(first["head.projection"], last["head.projection"])


def rest(folder, trained, weights, catalog, bar=quiet):
    """What train_member has made, and what it is after all splits."""
    if not folder.exists():
        trained.copied_to(folder)
    before = member(folder, weights, catalog)[0]
    kept = {name: value.clone() for name, value in before.state_dict().items()}
    notes = []
    table = read_catalog(str(catalog)).table
    data = training_set.data_of(table, folder, notes.append, quiet, ("train", "val_seen", "val_unseen"))
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    after = learn_rest(RECIPE, before, data, folder / "member-all-splits", fabric, triplet_accuracy, notes.append, bar)
    return kept, after.state_dict(), data, notes


def test_the_last_cycle_teaches_the_artists_of_all_splits_and_keeps_the_mean(trained, tmp_path, weights, catalog):
    before, after, data, notes = rest(tmp_path / "work", trained, weights, catalog)
    assert len(data.training.places) == 48
    assert set(data.training.artists) == set(range(6))
    assert [note.split(":")[0] for note in notes] == ["member-all-splits, epoch 6", "member-all-splits, epoch 7"]
    stored = checkpoint.load(tmp_path / "work" / "member-all-splits" / "checkpoint.safetensors")[0]
    last = checkpoint.without_prefix("member.", stored)
    assert stored["loss.W"].shape[1] == 6, "a proxy for each artist"
    for name, value in after.items():
        if value.is_floating_point():
            assert torch.equal(value, (before[name] + last[name]) / 2), name
    assert not torch.equal(before["head.projection"], last["head.projection"])


def test_a_last_cycle_that_was_killed_goes_on_to_the_same_result(trained, tmp_path, weights, catalog):
    whole = rest(tmp_path / "whole", trained, weights, catalog)[1]
    with pytest.raises(KeyboardInterrupt):
        rest(tmp_path / "killed", trained, weights, catalog, interrupting("epoch 7"))
    resumed = rest(tmp_path / "killed", trained, weights, catalog)[1]
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def changed(**values):
    """RECIPE with other settings of the member's own."""
    return RECIPE._replace(own=RECIPE.own.model_copy(update=values))


def other_values(settings, *kept):
    """Each setting but those kept, with another value that is valid."""
    for name, value in settings:
        if name not in kept:
            other = value + 1 if isinstance(value, int) else value / 2
            type(settings).model_validate({**settings.model_dump(), name: other})
            yield name, other


def test_a_members_checkpoint_of_other_settings_is_refused_and_its_weight_in_the_head_is_none(
    trained, tmp_path, weights, catalog
):
    trained.copied_to(tmp_path / "work")
    member(tmp_path / "work", weights, catalog, recipe=changed(weight=9.0))
    for name, value in other_values(RECIPE.own, "backbone", "weight"):
        with pytest.raises(BadSetting, match="other settings"):
            member(tmp_path / "work", weights, catalog, recipe=changed(**{name: value}))
    for name, value in other_values(RECIPE.common):
        other = RECIPE._replace(common=RECIPE.common.model_copy(update={name: value}))
        with pytest.raises(BadSetting, match="other settings"):
            member(tmp_path / "work", weights, catalog, recipe=other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_tuning, "LONGEST_GRADIENT", 0.123)
        with pytest.raises(BadSetting, match="other constants"):
            member(tmp_path / "work", weights, catalog)
    catalog.write_text(catalog.read_text().replace("Artist 0", "Artist 9"))
    with pytest.raises(BadSetting, match="other paintings"):
        member(tmp_path / "work", weights, catalog)


def test_paintings_without_anything_to_validate_on_are_refused(tmp_path, weights, catalog):
    catalog.write_text(catalog.read_text().replace("val_seen", "train"))
    with pytest.raises(BadCatalog, match="nothing to validate on"):
        member(tmp_path / "work", weights, catalog)


def test_the_rate_rises_from_nothing_to_the_highest_and_falls_to_nothing():
    assert pace(0.0, 0.1) == 0
    assert pace(0.1, 0.1) == pace(0.0, 0.0) == 1
    assert pace(0.55, 0.1) == pytest.approx(0.5)
    assert pace(1.0, 0.1) == pytest.approx(0)
    shares = [OWN.share_of_cycle(passed) for passed in (0.0, 1.5, 3.0, 4.0, 5.0, 6.0)]
    assert shares == [0, 0.5, 0, 0.5, 0, 0.5], "three epochs, then two, and two of all splits"


def drawn_by(data, number):
    """A member's batches in an epoch."""
    return fine_tuning.Member(RECIPE, data, None, None, triplet_accuracy).batches(number)


def test_half_of_the_second_cycles_crops_are_photographed_with_what_is_around_a_canvas(tmp_path, weights):
    class Squares:
        def squares(self, rows):
            return np.full((len(rows), 48, 48, 3), 128, np.uint8)

    data = training_set.Data(Squares(), training_set.Labelled(None, np.arange(200), np.repeat([0, 1], 100)), None, "")
    shares = []
    for number in range(1, 6):
        shown = torch.cat([batch.inputs[0] for batch in drawn_by(data, number)])
        shares.append(float((shown.amax((1, 2, 3)) - shown.amin((1, 2, 3)) > 40).float().mean()))
    assert shares[:3] == [0, 0, 0]
    assert all(0.3 < share < 0.7 for share in shares[3:])


def test_prolific_artists_are_drawn_less_often_than_their_share(tmp_path, weights):
    class Squares:
        def squares(self, rows):
            return np.zeros((len(rows), 32, 32, 3), np.uint8)

    artists = np.repeat([0, 1], [360, 40])
    data = training_set.Data(Squares(), training_set.Labelled(None, np.arange(400), artists), None, "")
    drawn = np.concatenate([batch.artists for batch in drawn_by(data, 1)])
    assert len(drawn) == 400
    assert float((drawn == 1).mean()) == pytest.approx(0.25, abs=0.06), "sqrt(40) of sqrt(40) + sqrt(360)"


def test_artist_softmax_equals_the_loop():
    torch.manual_seed(0)
    proxies, vectors, codes = torch.randn(5, 3), torch.randn(7, 3), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    total = 0.0
    for vector, code in zip(vectors, codes.tolist(), strict=True):
        cosines = [float(vector @ proxy / vector.norm() / proxy.norm()) for proxy in proxies]
        logits = [20 * (c - 0.1 * (i == code)) for i, c in enumerate(cosines)]
        total += math.log(sum(math.exp(x) for x in logits)) - logits[code]
    assert artist_softmax(proxies, 20, 0.1)(vectors, codes).item() == pytest.approx(total / 7, rel=1e-5)


def test_joined_vectors_keep_the_weighted_cosines_of_the_members():
    """With as many axes as the vectors have directions, PCA only turns and centres them."""
    chance = np.random.default_rng(0)
    members = chance.normal(size=(5, 8)).astype(np.float32)  # 5 points: 4 directions around their mean
    scales = np.repeat([1.0, 0.5], 4)
    joined = principal(members, scales, 4)
    found = torch.nn.functional.normalize(joined(torch.from_numpy(members)), dim=1).numpy()
    expected = members * scales - (members * scales).mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_what_shifts_vectors_is_looked_past_and_nothing_else():
    """A worked example: of the shifts' mean square 2 along the first axis, at NUISANCE 32, 1 / sqrt(1 + 64) is left."""
    chance = np.random.default_rng(0)
    members = chance.normal(size=(50, 3)).astype(np.float32)
    shifts = np.array([[1, 0, 0], [np.sqrt(3), 0, 0]], np.float32)
    found = principal(members, np.ones(3), 3, shifts)(torch.from_numpy(members)).numpy()
    expected = (members - members.mean(axis=0)) * np.array([(1 + NUISANCE * 2) ** -0.5, 1, 1])
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_posterior_is_the_root_of_what_scikit_learn_says(classes):
    chance = np.random.default_rng(0)
    labels = np.array([f"artist {i % classes}" for i in range(60)])
    vectors = chance.normal(size=(60, 6)) + np.eye(6)[np.arange(60) % classes]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    expected = (
        LogisticRegression(C=CONFIDENCE, class_weight="balanced", max_iter=ITERATIONS)
        .fit(vectors, labels)
        .predict_proba(vectors)
    )
    found = posterior_of(vectors, labels)(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(found**2, expected, atol=1e-5)
    np.testing.assert_allclose((found**2).sum(axis=1), 1, atol=1e-5)


def test_vectors_with_posteriors_have_the_products_of_their_parts():
    """Turned, not changed: cosines of the joined vector and of weighted roots of probabilities, around their mean."""
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(40, 3)).astype(np.float32)
    artists, nothing = np.array([f"{i % 3}" for i in range(38)] + ["", ""]), np.full(40, "")
    joined = principal(vectors, np.ones(3), 3)
    head = with_posteriors(joined, vectors, [Question(artists, 0.7, [joined]), Question(nothing, 0.3, [joined])], 6)
    assert len(head.posteriors) == 1, "of styles that nobody knows there is no posterior"
    found = head(torch.from_numpy(vectors)).numpy()
    unit = torch.nn.functional.normalize(head.joined(torch.from_numpy(vectors)), dim=1).numpy()
    parts = np.hstack([unit, 0.7 * posterior_of(unit[:38], artists[:38])(torch.from_numpy(unit)).numpy()])
    parts -= parts.mean(axis=0)
    np.testing.assert_allclose(found @ found.T, parts @ parts.T, atol=1e-4)


def test_classifiers_of_parts_say_the_mean_of_their_probabilities():
    """A worked example: sure of the first class, and undecided between both, make three to one."""
    views = [Projection(torch.ones(width), torch.zeros(width), torch.eye(width)) for width in (1, 2)]
    sure = Posterior(torch.tensor([[100.0, -100.0]]), torch.zeros(2))
    undecided = Posterior(torch.zeros(2, 2), torch.zeros(2))
    found = MeanPosterior(views, [sure, undecided])(torch.tensor([[2.0, 5.0, -1.0]]))
    assert (found**2).tolist() == [pytest.approx([0.75, 0.25])]


def test_each_member_has_a_classifier_of_its_own_and_the_head_can_do_without_any():
    chance = np.random.default_rng(2)
    parts = [chance.normal(size=(40, width)).astype(np.float32) for width in (3, 5)]
    artists, styles = (np.array([f"{i % kinds}" for i in range(40)]) for kinds in (3, 2))
    known = joining.Labels(np.arange(40), artists, styles)
    head = joining.head_of(parts, None, known, (1.0, 0.5), joining.HeadSettings())
    assert [[view.axes.shape[0] for view in posterior.views] for posterior in head.posteriors] == [[3, 5], [8]]
    assert head(torch.from_numpy(np.hstack(parts))).shape == (40, 8 + 3 + 2)
    without = joining.HeadSettings(of_artist=0, of_style=0)
    assert not joining.head_of(parts, None, known, (1.0, 0.5), without).posteriors


def test_a_projection_scales_before_it_centres():
    projection = Projection(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0]), torch.eye(2))
    assert projection(torch.tensor([[1.0, 1.0]])).tolist() == [[0.5, 1.0]]
    assert Ensemble([torch.nn.Identity()], projection)(torch.tensor([[0.5, 2.0]])).tolist() == [[0.0, 1.0]]


def by_command(folder, weights, catalog, recipe, *more):
    """The model file that the command makes, its work kept below the folder."""
    model = folder / f"{recipe}{''.join(more)}.onnx"
    settings = settings_file(folder, TUNED if recipe == "tuned" else DISTILLED)
    words = ["train", catalog, "--recipe", recipe, "--weights", weights, "--settings", settings]
    words += ["--work", folder / "work", "-o", model, "--precision", "32-true", *more]
    CliRunner().invoke(artidx, list(map(str, words)), catch_exceptions=False, standalone_mode=False)
    return model


@pytest.fixture(scope="module")
def styled(paintings):
    """The catalog with a column of styles."""
    table = pd.read_csv(paintings)
    path = paintings.with_name("styled.csv")
    table.assign(style=["old" if i % 2 else "new" for i in range(len(table))]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def tuned_folder(tmp_path_factory, backbones, styled):
    """Where the command has made a model by the tuned recipe."""
    folder = tmp_path_factory.mktemp("tuned")
    with pytest.MonkeyPatch.context() as patch:
        cut_down(patch)
        by_command(folder, backbones, styled, "tuned")
    return folder


@pytest.fixture
def tuned_copy(tuned_folder, tmp_path):
    """A copy of it, to go on from."""
    shutil.copytree(tuned_folder, tmp_path / "tuned")
    return tmp_path / "tuned"


def test_the_tuned_recipe_ends_in_a_model_with_a_card_and_a_second_run_makes_nothing_again(
    tuned_folder, tuned_copy, weights, styled, monkeypatch
):
    def half_redigitised(square, place):  # of the same name: what is kept is kept under it
        raise AssertionError("nothing is looked at again")

    monkeypatch.setattr(tuned, "half_redigitised", half_redigitised)
    first = Embedder.load(tuned_folder / "tuned.onnx")
    second = Embedder.load(by_command(tuned_copy, weights, styled, "tuned"))
    assert (first.size, first.dim) == (48, 4)
    assert first.sha256 == second.sha256
    card = (tuned_folder / "tuned.md").read_text()
    assert "`tiny`: all but its first part, 3 and 2 epochs" in card
    assert "one of 4\nartists, with weight 0.8. They were fitted to\n20 paintings (train)" in card, (
        "styles of a few are not learnt"
    )
    assert "The scores are those of this file" in card


def test_a_model_that_has_learnt_all_splits_has_the_scores_and_the_calibration_of_the_one_before(
    tuned_copy, weights, styled
):
    models = [
        (Embedder.load(path), path.with_suffix(".md").read_text())
        for path in (tuned_copy / "tuned.onnx", by_command(tuned_copy, weights, styled, "tuned", "--all-splits"))
    ]
    (before, card_before), (after, card) = models
    assert after.sha256 != before.sha256
    assert after.metadata["calibration"] == before.metadata["calibration"]
    assert "Fitted to\n21 paintings by 5 artists" in card_before
    assert "Fitted to\n49 paintings by 7 artists" in card, "the linear part, too"
    assert "one of 6\nartists, with weight 0.8, the other of 2 styles, with weight 0.3. They were" in card
    assert "fitted to\n49 paintings (train, val_seen, val_unseen)" in card
    assert "3 and 2, then 2 epochs at a rate" in card
    assert "The members were then\ntrained on all splits in a last cycle, 48 paintings by 6 artists" in card
    assert "those of an earlier model, which was trained on the split train alone" in card
    scores = [line for line in card_before.splitlines() if line.startswith("| val_")]
    assert scores
    assert all(line in card for line in scores)


def student(folder, weights, catalog, bar=quiet, **values):
    notes = []
    folder.mkdir(exist_ok=True)
    settings = read_settings(settings_file(folder, DISTILLED), distilled.DistilledSettings)
    found, made = distilled.train_distilled(
        read_catalog(str(catalog)).table,
        settings.model_copy(update=values),
        weights,
        folder,
        Fabric(accelerator="cpu", devices=1, precision="32-true"),
        triplet_accuracy,
        notes.append,
        bar,
    )
    return found, made, notes


@pytest.fixture(scope="module")
def taught(tmp_path_factory, backbones, paintings):
    """A student and its teacher; more: how it was made."""
    work = tmp_path_factory.mktemp("taught")
    with pytest.MonkeyPatch.context() as patch:
        cut_down(patch)
        found, made, notes = student(work, backbones, paintings)
    return Done(work, found, notes, made)


def test_a_student_begins_at_the_ridge_regression_of_its_teachers_vectors():
    chance = np.random.default_rng(0)
    features, taught = chance.normal(size=(60, 7)).astype(np.float32), chance.normal(2, 1, (60, 3)).astype(np.float32)
    head = distilled.first_head(features, taught, [7], 0.5)
    found = (features - head.centre.numpy()) @ head.projection.detach().numpy()
    strength = 0.5 * features.var(axis=0).mean() * len(features)
    np.testing.assert_allclose(found, Ridge(alpha=strength).fit(features, taught).predict(features), atol=1e-4)


def test_a_student_comes_nearer_to_its_teacher_and_its_frozen_part_stays(taught, tmp_path, weights, catalog):
    work = taught.copied_to(tmp_path / "work", "distilled")
    found, made, notes = student(work, weights, catalog, epochs=12, rate=1e-2, head_rate=2e-2)
    history = [line for line in notes if line.startswith("distilled, epoch")]
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in history]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[1:4]), "from when batch normalisation takes batches' statistics"
    before = TinyBackbone()
    assert torch.equal(found.members[0].blocks[0][0].weight, before.blocks[0][0].weight)
    assert not torch.equal(found.members[0].blocks[1].weight, before.blocks[1].weight)
    assert "21 training paintings" in made, "that by an artist with no other, too"
    assert "`tiny`: all but its first part, 3 and 2 epochs" in made, "of the teacher"


def test_a_student_killed_in_mid_epoch_goes_on_to_the_same_result(taught, tmp_path, weights, catalog):
    work = taught.copied_to(tmp_path / "work", "distilled")
    with pytest.raises(KeyboardInterrupt):
        student(work, weights, catalog, interrupting("distilled, epoch 3"))
    resumed = student(work, weights, catalog)[0]
    for name, value in taught.found.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_student_is_shown_each_painting_once_with_its_own_vector_some_photographed_whole(weights):
    class Squares:
        def squares(self, rows):
            return np.repeat(np.uint8(rows), 48 * 48 * 3).reshape(-1, 48, 48, 3)

    places = np.arange(40, 200, 2)
    taught = torch.from_numpy(places[:, None]).float()
    targets = distilled.Targets(places, taught, places % 7)
    data = training_set.Data(Squares(), None, None, "")
    objective = distilled.Student(
        targets, targets, distilled.DistilledSettings(), data, Fabric(accelerator="cpu", devices=1), triplet_accuracy
    )
    inputs, artists, vectors = zip(*objective.batches(1), strict=True)
    x, given = torch.cat([x for (x,) in inputs]), torch.cat(vectors)[:, 0]
    assert sorted(given.tolist()) == places.tolist()
    assert (np.concatenate(artists) == given.numpy().astype(int) % 7).all()
    is_plain = x.amax((1, 2, 3)) - x.amin((1, 2, 3)) < 40
    assert 0.6 < is_plain.float().mean() < 0.9
    middle = x.mean((1, 2, 3))[is_plain]
    assert np.corrcoef(middle, given[is_plain])[0, 1] > 0.9, "slightly toned"


def test_a_student_does_not_go_on_with_another_teacher(taught, tmp_path, weights, catalog):
    work = taught.copied_to(tmp_path / "work")
    teacher = read_settings(settings_file(tmp_path, TUNED), tuned.TunedSettings)
    other = teacher.model_copy(update={"head": teacher.head.model_copy(update={"of_artist": 0.1})})
    with pytest.raises(BadSetting, match="another teacher"):
        student(work, weights, catalog, teacher=other)


def test_a_students_checkpoint_of_other_settings_is_refused(taught, tmp_path, weights, catalog):
    work = taught.copied_to(tmp_path / "work")
    settings = read_settings(settings_file(tmp_path, DISTILLED), distilled.DistilledSettings)
    for name, value in other_values(settings, "backbone", "frozen", "teacher"):
        with pytest.raises(BadSetting, match="other settings"):
            student(work, weights, catalog, **{name: value})


def test_parts_that_leave_nothing_to_train_are_told_before_anything_is_done(tmp_path, weights, catalog):
    with pytest.raises(BadSetting, match="frozen = 2 leaves nothing to train of a backbone with 2 parts"):
        student(tmp_path / "work", weights, catalog, frozen=2)
    assert not list((tmp_path / "work").rglob("*.safetensors"))


def test_the_distilled_recipe_ends_in_a_model_of_the_students_size_with_a_card(tuned_copy, weights, styled):
    teacher = Embedder.load(tuned_copy / "tuned.onnx")
    path = by_command(tuned_copy, weights, styled, "distilled")
    pupil = Embedder.load(path)
    assert pupil.dim == teacher.dim
    in_eight_bits = [
        recipe
        for recipe, model in (("tuned", teacher), ("distilled", pupil))
        if "mean_cosine_lost_to_sums_in_8_bits" in model.metadata["parity"]
    ]
    assert in_eight_bits == ["distilled"], "of the same backbone, it alone lets pointwise convolutions sum so"
    assert len(pupil.data) < 0.8 * len(teacher.data)
    assert pupil.metadata["calibration"] != teacher.metadata["calibration"]
    assert "The teacher, which is not in this file:" in path.with_suffix(".md").read_text()
