"""Alternatives to the fine-tuning of a member: losses, pooling, crops, batch statistics.

    python benchmarks/recipes.py CATALOG FOLDER WORK

MobileNetV2 with the weights in FOLDER, three epochs of one cycle on the split train, otherwise as in the tuned recipe
(embedder/training/recipes/tuned.py); each is measured by distance alone on the other two splits, around the split's own
centre. Then the difference from the unchanged recipe with the same seed, with a 95% interval by bootstrap over
artists: both are measured on the same samples of artists. Only seeds show the randomness of training itself. Results
are kept below WORK/recipes, and an interrupted run resumes after its last complete recipe.
"""

from __future__ import annotations

import copy
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn
from torch.nn import functional

from artidx import read_catalog
from artidx.embedder.catalogs.catalog import artist_key
from artidx.embedder.parallel import ahead, batches, no_bar
from artidx.embedder.runtime import available_cores
from artidx.embedder.training.data.augment import redigitised
from artidx.embedder.training.data.batches import Works, artists, epoch
from artidx.embedder.training.data.crops import BATCH, CROP, SCALED
from artidx.embedder.training.data.packed import Packed
from artidx.embedder.training.data.splits import SEEN, UNSEEN, splits
from artidx.embedder.training.loop.epochs import take_step
from artidx.embedder.training.loop.losses import artist_softmax, hard_batch, triplet_loss
from artidx.embedder.training.loop.schedules import pace
from artidx.embedder.training.loop.trainer import embed
from artidx.embedder.training.networks.backbones import MobileNetV2, load_backbone, means_and_deviations
from artidx.embedder.training.networks.ensemble import Ensemble, LinearHead, balanced
from artidx.embedder.training.recipes import fine_tuning, joining, training_set, tuned
from artidx.embedder.training.recipes.linear import LinearSettings, discriminants
from artidx.index.measure.bootstrap import interval_of, pair_draws
from artidx.index.measure.retrieval import triplet_accuracy
from artidx.index.scoring.curve import PairCurve, blocks

EPOCHS = 3
MEMBER = tuned.MEMBERS[0]
COMMON = fine_tuning.FineTuningSettings()
PER_ARTIST = 4  # paintings, if the loss compares those of a batch
FROM_STYLE = 0.3  # weight of the style loss
POWER = 3.0  # power of generalised means (the initial value of Radenovic et al., 2018)
SUB_CENTRES = 3
TEMPERATURE = 0.1
TRIPLET_MARGIN = 0.4
NEAR = 320  # px of a painting, of which a crop then shows a quarter
CORNER = 144  # px of 224: each of four shows 41% of the picture
WHOLE, CORNERS = "the whole", "with its corners"

Pool = Callable[[Tensor], list[Tensor]]  # (b, c, positions) -> some of (b, c)


def generalised_means(feature: Tensor) -> list[Tensor]:
    return [feature.clamp_min(1e-6).pow(POWER).mean(2).pow(1 / POWER)]


class Backbone(nn.Module):
    """A backbone with another pooling. forward: (b, 3, s, s) -> (b, sum of widths)."""

    def __init__(self, backbone: MobileNetV2, pool: Pool) -> None:
        super().__init__()
        self.backbone, self.pool = backbone, pool
        self.widths = [channels for channels in backbone.channels for _ in pool(torch.zeros(1, 1, 2))]

    def forward(self, x: Tensor) -> Tensor:
        layers = self.backbone.layers((x - self.backbone.mean) / self.backbone.std)
        return torch.cat([part for layer in layers for part in self.pool(layer.float().flatten(2))], dim=1)


class Start(NamedTuple):
    """The start of training: a member, and its unit vectors (n, d) of crops of the training paintings."""

    member: Ensemble
    vectors: Tensor


class Task(NamedTuple):
    """The training set. artists, styles: (n,) codes of the training paintings; -1 for one without a known style."""

    data: training_set.Data
    artists: Tensor
    styles: Tensor


def centres(vectors: Tensor, codes: Tensor) -> Tensor:
    """(c, d) at unit length: the mean of the vectors with each code."""
    known = codes >= 0
    sums = torch.zeros(int(codes.max()) + 1, vectors.shape[1]).index_add_(0, codes[known], vectors[known])
    return functional.normalize(sums, dim=1)


class ArcFace(nn.Module):
    """Cross entropy of scaled cosines to each artist's nearest sub-centre (Deng et al., 2020).

    The margin, in radians, is added to the angle of the right artist; it is larger for artists with few paintings, as n
    ** -1/4 (Ha, Liu and Liu, 2020).
    """

    def __init__(self, proxies: Tensor, counts: Tensor) -> None:
        super().__init__()
        several = proxies.repeat(SUB_CENTRES, 1, 1)
        self.centres = nn.Parameter(several + 0.02 * torch.randn(several.shape))  # else all would stay equal
        self.margins = 0.05 + 0.3 * counts.float() ** -0.25

    def forward(self, vectors: Tensor, codes: Tensor) -> Tensor:
        unit = functional.normalize(self.centres, dim=2)
        cosines = torch.einsum("bd,kad->kba", vectors, unit).amax(0)  # (b, artists)
        angles = cosines.gather(1, codes[:, None]).clamp(-1 + 1e-6, 1 - 1e-6).acos() + self.margins[codes][:, None]
        return functional.cross_entropy(COMMON.scale * cosines.scatter(1, codes[:, None], angles.cos()), codes)


def cosface(start: Start, task: Task) -> Any:
    return artist_softmax(centres(start.vectors, task.artists), COMMON.scale, COMMON.margin)


def arcface(start: Start, task: Task) -> Any:
    return ArcFace(centres(start.vectors, task.artists), task.artists.bincount())


def contrastive(start: Start, task: Task) -> Any:
    return SupConLoss(temperature=TEMPERATURE)


class HardTriplets(nn.Module):
    """Triplet loss of each batch's hardest triplets."""

    def forward(self, vectors: Tensor, codes: Tensor) -> Tensor:
        found: Tensor = triplet_loss(TRIPLET_MARGIN)(vectors, codes, hard_batch()(vectors, codes))
        return found


def hard_triplets(start: Start, task: Task) -> Any:
    return HardTriplets()


class Recipe(NamedTuple):
    """Differences from the unchanged recipe.

    by_artist: batches have several paintings of each artist; near: the share of crops that show a quarter; corners:
    also measured with the vectors of four corners added to the whole's; crops: sides in px, one per epoch.
    """

    name: str
    loss: Callable[[Start, Task], Any] = cosface
    pool: Pool = means_and_deviations
    by_artist: bool = False
    styles: bool = False
    near: float = 0.0
    corners: bool = False
    crops: tuple[int, ...] = (CROP,) * EPOCHS
    keeps_statistics: bool = False
    seeds: int = 1


RECIPES = (
    Recipe("CosFace, as it is", corners=True, seeds=3),
    Recipe("ArcFace, sub-centres, margin by paintings", arcface, seeds=3),
    Recipe("supervised contrastive", contrastive, by_artist=True),
    Recipe("triplets, hard batches", hard_triplets, by_artist=True),
    Recipe("styles, too", styles=True),
    Recipe("generalised means", pool=generalised_means),
    Recipe("half of the crops near", near=0.5, corners=True),
    Recipe("crops of 98, 126 and 182 px", crops=(98, 126, 182)),
    Recipe("statistics as pretrained", keeps_statistics=True, seeds=3),
    Recipe("statistics as pretrained, and ArcFace", arcface, keeps_statistics=True),
)


def crops_of(
    data: training_set.Data, places: np.ndarray, seed: int, number: int, side: int, near: float
) -> Iterator[Tensor]:
    """Batches (b, 3, side, side) float, as crops.drawn."""

    def crop(item: tuple[int, int]) -> np.ndarray:
        turn, place = item
        chance = random.Random(f"{seed} {number} {turn}")
        scaled = NEAR if chance.random() < near else SCALED
        square = redigitised(data.packed.squares([place])[0], scaled, chance)
        left, top = chance.randint(0, scaled - side), chance.randint(0, scaled - side)
        return square[top : top + side, left : left + side]

    for squares in batches(ahead(crop, enumerate(places.tolist()), workers=available_cores(), most=4 * BATCH), BATCH):
        yield torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()


def drawn(recipe: Recipe, task: Task, seed: int, number: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Batches of an epoch, and their training paintings."""
    codes, places = task.artists.numpy(), task.data.training.places
    if recipe.by_artist:
        works = Works(codes)
        shown = epoch(lambda chance: artists(works, BATCH, chance, per_artist=PER_ARTIST), len(codes), seed, number)
        # Artists with fewer paintings leave gaps, so batches are cut anew, and may split an artist at their ends.
        chosen = np.fromiter(islice((place for batch in shown for place in batch.places), len(codes)), np.int64)
    else:
        weight = np.bincount(codes)[codes] ** (COMMON.evenness - 1.0)
        chosen = np.random.default_rng((seed, number)).choice(len(codes), len(codes), p=weight / weight.sum())
    views = crops_of(task.data, places[chosen], seed, number, recipe.crops[number - 1], recipe.near)
    return zip(views, np.split(chosen, range(BATCH, len(chosen), BATCH)), strict=True)


def begin(pool: Pool, task: Task, folder: Path, fabric: Fabric) -> Start:
    """The discriminants of the frozen backbone, as at the start of the tuned recipe."""
    backbone = load_backbone(MEMBER.backbone, folder)
    assert isinstance(backbone, MobileNetV2)
    pooled = Backbone(backbone, pool)
    found = []
    with torch.inference_mode(), fabric.autocast():
        for x in crops_of(task.data, task.data.training.places, COMMON.seed, 0, CROP, 0.0):
            found.append(balanced(pooled(x).float(), pooled.widths))
    features = torch.cat(found)
    settings = LinearSettings(components=COMMON.components, dim=COMMON.dim)
    centre, projection = discriminants(features.numpy(), task.artists.numpy(), settings)
    head = LinearHead(pooled.widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    vectors = functional.normalize((features - head.centre) @ head.projection, dim=1)
    return Start(Ensemble([pooled], head), vectors)


def taught(recipe: Recipe, start: Start, task: Task, seed: int, fabric: Fabric) -> Ensemble:
    torch.manual_seed(seed)
    member = copy.deepcopy(start.member)
    pooled, projection = member.members[0], member.head.get_parameter("projection")
    assert isinstance(pooled, Backbone)
    weights = [weight for part in pooled.backbone.parts()[MEMBER.frozen :] for weight in part.parameters()]
    loss = recipe.loss(start, task)
    style_loss = artist_softmax(centres(start.vectors, task.styles), COMMON.scale, 0.0)
    for weight in (*weights, projection):
        weight.requires_grad_(True)
    root = float(projection.detach().pow(2).mean().sqrt())
    groups = [
        {"params": weights},
        {"params": [projection], "weight_decay": 0.0},
        {"params": [*loss.parameters(), *style_loss.parameters()], "weight_decay": 0.0},
    ]
    rates = (MEMBER.rate, COMMON.head_rate * root, COMMON.head_rate)
    wrapped, optimizer = fabric.setup(member, torch.optim.AdamW(groups, weight_decay=COMMON.weight_decay))
    steps = -(-len(task.artists) // BATCH)
    for number in range(1, EPOCHS + 1):
        wrapped.train(number > 1 and not recipe.keeps_statistics)
        for step, (x, chosen) in enumerate(drawn(recipe, task, seed, number)):
            now = pace((number - 1 + step / steps) / EPOCHS, COMMON.warm_up)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * now
            vectors = wrapped(x).float()
            of_all = loss(vectors, task.artists[chosen])
            if recipe.styles:
                styles = task.styles[chosen]
                of_all = of_all + FROM_STYLE * style_loss(vectors[styles >= 0], styles[styles >= 0])
            take_step(fabric, member, optimizer, of_all, fine_tuning.LONGEST_GRADIENT)
    return member.eval()


class Corners:
    """Inputs: one of four overlapping corners of each packed painting, enlarged to the size of the whole."""

    def __init__(self, data: training_set.Data, number: int) -> None:
        self.packed = data.packed
        self.top, self.left = divmod(number, 2)

    def __getitem__(self, places: np.ndarray, /) -> Tensor:
        whole = self.packed[places].float()
        first = whole.shape[2] - CORNER
        corner = whole[:, :, self.top * first :, self.left * first :][:, :, :CORNER, :CORNER]
        return functional.interpolate(corner, whole.shape[2:], mode="bicubic", antialias=True).clamp(0, 255)


def embedded(
    recipe: Recipe, member: Ensemble, data: training_set.Data, places: np.ndarray, fabric: Fabric
) -> dict[str, np.ndarray]:
    """(n, d) of whole paintings and, if the recipe says so, of the whole plus the mean of its corners."""
    with fabric.autocast():
        whole = embed(member, data.packed, places, fabric)
        if not recipe.corners:
            return {WHOLE: whole}
        corners = [embed(member, Corners(data, number), places, fabric) for number in range(4)]
    return {WHOLE: whole, CORNERS: unit(whole + np.mean(corners, axis=0))}


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Judged(NamedTuple):
    """Results on one split: AUC, share of pairs found at 1%, triplets right; and the first two for each sample of
    artists."""

    auc: float
    found: float
    triplets: float
    draws: dict[str, np.ndarray]


def judged(vectors: np.ndarray, codes: np.ndarray) -> Judged:
    centred = unit(vectors - vectors.mean(axis=0))
    (pairs,) = blocks(centred, codes)
    curve = PairCurve.empty()
    curve.add(pairs.distances, pairs.is_same)
    draws = {name: np.array(values) for name, values in pair_draws(pairs.distances, pairs).items()}
    return Judged(curve.auc, curve.at(0.01).true_positive_rate, triplet_accuracy(centred, codes), draws)


class Bench(NamedTuple):
    """The setting for all recipes. places, codes: of the paintings in each validation split, and their artists."""

    task: Task
    backbones: Path
    work: Path
    places: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    fabric: Fabric
    starts: dict[Pool, Start]  # computed so far

    def vectors(self, recipe: Recipe, seed: int) -> dict[str, dict[str, np.ndarray]]:
        """Vectors of each split, from `embedded`; trains the recipe if necessary."""
        done = self.work / f"{'-'.join(recipe.name.replace(',', '').split())}-{seed}.npz"
        if not done.exists():
            began = time.monotonic()
            if recipe.pool not in self.starts:
                self.starts[recipe.pool] = begin(recipe.pool, self.task, self.backbones, self.fabric)
            member = taught(recipe, self.starts[recipe.pool], self.task, seed, self.fabric)
            found = {
                f"{split}/{shown}": given
                for split, places in self.places.items()
                for shown, given in embedded(recipe, member, self.task.data, places, self.fabric).items()
            }
            with done.with_suffix(".part").open("wb") as stream:
                np.savez(stream, **found)
            os.replace(done.with_suffix(".part"), done)
            print(f"{recipe.name}, seed {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        with np.load(done, allow_pickle=False) as stored:
            shown = {name.split("/")[1] for name in stored}
            return {each: {split: stored[f"{split}/{each}"] for split in self.places} for each in sorted(shown)}

    def judged(self, recipe: Recipe, seed: int) -> dict[str, dict[str, Judged]]:
        """Results by view (whole, with corners) and by split."""
        return {
            shown: {split: judged(of[split], self.codes[split]) for split in self.places}
            for shown, of in self.vectors(recipe, seed).items()
        }


def asked_about(table: pd.DataFrame, packed: Packed) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Positions of the paintings in each validation split, and codes of their artists."""
    places = {split: joining.places_of(table, packed, split) for split in (UNSEEN, SEEN)}
    codes = {
        split: np.unique([artist_key(name) for name in table["artist"].iloc[here]], return_inverse=True)[1]
        for split, here in places.items()
    }
    return places, codes


def ready(catalog: str, backbones: Path, work: Path) -> Bench:
    table = read_catalog(catalog).table
    table = table.assign(split=splits(table))
    data = training_set.data_of(table, work, print, no_bar)
    training = data.training.places
    labels = joining.labels_of(table, training)
    styles = {style: code for code, style in enumerate(sorted({*labels.styles} - {""}))}
    task = Task(
        data, torch.from_numpy(data.training.artists), torch.tensor([styles.get(style, -1) for style in labels.styles])
    )
    places, codes = asked_about(table, data.packed)
    folder = work / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    return Bench(task, backbones, folder, places, codes, fabric, {})


def row(name: str, of_seeds: list[dict[str, Judged]], chosen: list[dict[str, Judged]]) -> str:
    """Means over seeds, and the difference from the unchanged recipe with the same seeds."""
    cells = []
    for what in ("auc", "found", "triplets"):
        cells.append(
            " / ".join(f"{np.mean([getattr(one[split], what) for one in of_seeds]):.3f}" for split in (UNSEEN, SEEN))
        )
    for what in ("auc", "found_at_1_percent"):
        for split in (UNSEEN, SEEN):
            apart = np.mean(
                [
                    one[split].draws[what] - other[split].draws[what]
                    for one, other in zip(of_seeds, chosen, strict=False)
                ],
                axis=0,
            )
            low, high = interval_of(apart.tolist())
            cells.append(f"{low:+.3f} to {high:+.3f}" if apart.any() else "-")
    return f"| {name} | {len(of_seeds)} | {' | '.join(cells)} |"


def main() -> None:
    bench = ready(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    print(
        "| recipe | seeds | AUC unseen / seen | found at 1% | triplets right | more AUC, unseen "
        "| seen | more found, unseen | seen |\n|---|---|---|---|---|---|---|---|---|"
    )
    chosen: list[dict[str, Judged]] = []
    for recipe in RECIPES:
        of_seeds = [bench.judged(recipe, seed) for seed in range(recipe.seeds)]
        if not chosen:
            chosen = [one[WHOLE] for one in of_seeds]
            print(row(f"{recipe.name}, seed 0 alone", chosen[:1], chosen), flush=True)
        for shown in of_seeds[0]:
            print(
                row(
                    recipe.name + (f"; {CORNERS}" if shown == CORNERS else ""), [one[shown] for one in of_seeds], chosen
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
