"""The effect of each part of the tuned recipe's head: members, their weights, probabilities of artists and styles.

    artidx train CATALOG --weights FOLDER --work WORK -o model.onnx
    python benchmarks/head.py CATALOG FOLDER WORK

Uses the members that the run above has kept; they embed the two validation splits again. All heads are fitted to the
split train alone, and measured on the other two by distance alone, each split around its own centre; about half of the
paintings are re-digitised, so that numbers are slightly lower than those of the exported file. "Artist first" is for
val_seen among the paintings of train, by the sum of exp(24 cosine) over an artist's paintings, divided by the square
root of their number.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score, roc_curve
from torch.nn.functional import normalize

from artidx import read_catalog
from artidx.embedder.catalogs.catalog import artist_key
from artidx.embedder.parallel import no_bar
from artidx.embedder.training.data.splits import SEEN, TRAIN, UNSEEN, splits
from artidx.embedder.training.recipes import fine_tuning, joining, training_set, tuned
from artidx.embedder.training.recipes.linear import train_linear
from artidx.index.measure.retrieval import triplet_accuracy

SETTINGS = tuned.TunedSettings()
NAMES = ("linear", *(each.backbone for each in SETTINGS.members))
CHOSEN = (SETTINGS.linear_weight, *(each.weight for each in SETTINGS.members))
STEEPNESS = 24.0


class Seen(NamedTuple):
    """Paintings of a split: (n, f) of each member, (n,) their artists, and labels for training."""

    members: list[np.ndarray]
    artists: np.ndarray
    labels: joining.Labels


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pairs(vectors: np.ndarray, artists: np.ndarray) -> tuple[float, float, float]:
    """AUC over all pairs, the share of same-artist pairs found at 1% false positives, and of nearest neighbours by the
    artist."""
    vectors = unit(vectors - vectors.mean(axis=0))
    cosines = vectors @ vectors.T
    above = np.triu_indices(len(vectors), 1)
    same = (artists[:, None] == artists)[above]
    wrong, right, _ = roc_curve(same, cosines[above])
    np.fill_diagonal(cosines, -np.inf)
    return (
        roc_auc_score(same, cosines[above]),
        float(np.interp(0.01, wrong, right)),
        float((artists[cosines.argmax(axis=1)] == artists).mean()),
    )


def artists_found(gallery: np.ndarray, known: np.ndarray, asked: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """The share of paintings whose artist comes first, and among the first five."""
    centre = gallery.mean(axis=0)
    kernel = np.exp(STEEPNESS * unit(asked - centre) @ unit(gallery - centre).T)
    names, codes, counts = np.unique(known, return_inverse=True, return_counts=True)
    said = np.stack([kernel[:, codes == code].sum(axis=1) for code in range(len(names))], axis=1) / np.sqrt(counts)
    right = names[np.argsort(-said, axis=1)[:, :5]] == true[:, None]
    return float(right[:, 0].mean()), float(right.any(axis=1).mean())


def show(
    what: str,
    seen: dict[str, Seen],
    whole: list[np.ndarray] | None,
    weights: tuple[float, ...],
    of_artist: float,
    of_style: float,
) -> None:
    """Fit a head to the members with a weight, and print a line about it.

    whole: (m, f) of each member, of the paintings joining.shifted with the surroundings of a canvas.
    """
    kept = [number for number, weight in enumerate(weights) if weight]
    members = {split: [found.members[number] for number in kept] for split, found in seen.items()}
    some = joining.shifted(len(members[TRAIN][0]))
    shifts = [whole[number] - seen[TRAIN].members[number][some] for number in kept] if whole else None
    settings = SETTINGS.head.model_copy(update={"of_artist": of_artist, "of_style": of_style})
    head = joining.head_of(members[TRAIN], shifts, seen[TRAIN].labels, [weights[number] for number in kept], settings)
    with torch.inference_mode():
        found = {split: normalize(head(torch.from_numpy(np.hstack(members[split]))), dim=1).numpy() for split in seen}
    unseen, known = (pairs(found[split], seen[split].artists) for split in (UNSEEN, SEEN))
    first, five = artists_found(found[TRAIN], seen[TRAIN].artists, found[SEEN], seen[SEEN].artists)
    print(
        f"| {what} | {unseen[0]:.3f} / {known[0]:.3f} | {unseen[1]:.3f} / {known[1]:.3f} | "
        f"{unseen[2]:.3f} / {known[2]:.3f} | {first:.3f} / {five:.3f} |",
        flush=True,
    )


def main() -> None:
    catalog, backbones, work = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    table = read_catalog(catalog).table
    table = table.assign(split=splits(table))
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    data = training_set.data_of(table, work, print, no_bar)
    training = table[(table["split"] == TRAIN) & data.packed.is_read].reset_index(drop=True)
    members = {"linear": train_linear(training, SETTINGS.linear, backbones, work, print, no_bar)}
    for recipe in SETTINGS.recipes():
        folder = work / tuned.FOLDER / recipe.own.backbone
        members[recipe.own.backbone] = fine_tuning.train_member(
            recipe, backbones, data, folder, fabric, triplet_accuracy, print, no_bar
        )

    def kept(what: str, places: np.ndarray, change: joining.Change) -> list[np.ndarray]:
        return [
            joining.vectors(member, work / tuned.FOLDER / name, what, places, change, data, fabric, no_bar)
            for name, member in members.items()
        ]

    places = {split: joining.places_of(table, data.packed, split) for split in (TRAIN, SEEN, UNSEEN)}
    some = places[TRAIN][joining.shifted(len(places[TRAIN]))]
    seen, whole = {}, kept(tuned.WHOLE, some, joining.half_redigitised_whole)
    for split, here in places.items():
        artists = np.array([artist_key(name) for name in table["artist"].iloc[here]])
        seen[split] = Seen(kept(split, here, joining.half_redigitised), artists, joining.labels_of(table, here))
    print("| what | AUC unseen / seen | found at 1% | neighbour by the artist | artist first / in five |")
    for number, name in enumerate(NAMES):
        alone = tuple(float(at == number) for at in range(len(NAMES)))
        show(f"{name} alone", seen, whole, alone, 0, 0)
    show("all members", seen, whole, CHOSEN, 0, 0)
    show("all members, no nuisance directions shortened", seen, None, CHOSEN, 0, 0)
    for number, name in enumerate(NAMES):
        without = tuple(0.0 if at == number else weight for at, weight in enumerate(CHOSEN))
        show(f"all but {name}, with posteriors", seen, whole, without, SETTINGS.head.of_artist, SETTINGS.head.of_style)
    for artist, style in ((0.4, 0), (0.7, 0), (1.0, 0), (0, 0.3), (0.7, 0.15), (0.7, 0.3), (0.7, 0.5), (1.0, 0.3)):
        show(f"all members, posteriors of artists {artist:g}, of styles {style:g}", seen, whole, CHOSEN, artist, style)


if __name__ == "__main__":
    main()
