"""The linear recipe: frozen backbones, then a projection that tells the training artists apart.

No gradient is taken: features of every painting are computed once (features.py), whitened by what varies within
an artist, and turned to where artists differ (linear discriminant analysis, Fisher 1936; shrunk covariance, Ledoit
and Wolf 2004). Each painting counts as it is and as re-digitised copies (augment.py): what changes with the camera
and the JPEG then counts as variation within an artist, and is a nuisance that whitening shortens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from ....errors import BadCatalog
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data.features import backbone_features
from ..networks.backbones import BACKBONES
from ..networks.ensemble import CentredHead, Ensemble, LinearHead, balanced, centred_or_rooted
from ..networks.loading import Backbone, licence_of, load_frozen, widths_of
from ..networks.timm_backbone import TimmBackbone

MEMBERS = ("mobilenet_v2", "dinov2_vits14")
SIZE = 224  # px
COPIES = 2  # each painting as it is, and re-digitised once
COMPONENTS = 1024  # kept by PCA before the discriminants
SHRINKAGE = 0.2  # of the within-artist covariance towards a sphere
SPREAD = 0.25  # exponent of e / (1 + e) on each direction: 0 whitens fully, 1 favours what parts artists best
DIM = 256
SMALLEST_ARTIST = 5  # paintings

Matrix = npt.NDArray[np.float64]


def train_linear(
    table: pd.DataFrame, weights: Path, work: Path, note: Callable[[str], None], bar: Bar, names: Sequence[str] = ()
) -> Ensemble:
    """Train on a catalog's table.

    weights: the backbones' folder; work: where features are kept between runs; names: of the backbones (loading.py),
    MEMBERS where none is given. Raises BadCatalog where there are too few artists, BadModel, BadSetting.
    """
    names = names or MEMBERS
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object)
    is_large = keys.map(keys.value_counts()).fillna(0).to_numpy() >= SMALLEST_ARTIST
    if keys[is_large].nunique() < 2:
        raise BadCatalog(f"training needs two artists or more with {SMALLEST_ARTIST} paintings each")
    backbones = {name: load_frozen(name, weights, SIZE) for name in names}
    features = np.concatenate([_features(table, copy, names, weights, work, bar)[is_large] for copy in range(COPIES)])
    artists = np.tile(keys[is_large].to_numpy(str), COPIES)
    note(f"linear discriminants of {len(features):,} features by {keys[is_large].nunique():,} artists")
    return Ensemble(list(backbones.values()), _head(features, artists, backbones)).eval()


def describe_linear(paintings: int, artists: int, weights: Path | None = None, names: Sequence[str] = ()) -> str:
    """How the model was made, as Markdown for its card. names: as in train_linear, with the folder of weights."""
    if names and weights:
        licences = {name: licence_of(name, load_frozen(name, weights, SIZE)) for name in names}
        how = "or without it and less its mean, "
    else:
        licences, how = {name: BACKBONES[name].licence for name in MEMBERS}, ""
    members = "\n".join(f"- `{name}`, weights under {licence}" for name, licence in licences.items())
    return f"""Frozen pretrained backbones, read at several depths (mean and standard deviation of every channel):

{members}

Each layer through the signed square root {how}and to unit length; PCA to {COMPONENTS}; linear discriminants (shrinkage
{SHRINKAGE:g}, each scaled by (e / (1 + e)) ^ {SPREAD:g}) to {DIM}. Trained on {paintings:,} paintings by {artists}
artists, each as it is and in {COPIES - 1} re-digitised copy."""


def _head(features: npt.NDArray[np.float32], artists: npt.NDArray[Any], backbones: dict[str, Backbone]) -> nn.Module:
    """The head of features (n, f) as they come."""
    widths = [width for name, backbone in backbones.items() for width in widths_of(name, backbone)]
    if not any(isinstance(backbone, TimmBackbone) for backbone in backbones.values()):
        parts = balanced(torch.from_numpy(features), widths).numpy()
        centre, projection = discriminants(parts, artists)
        return LinearHead(widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    is_rooted = [
        not isinstance(backbone, TimmBackbone)
        for name, backbone in backbones.items()
        for _ in widths_of(name, backbone)
    ]
    means = torch.from_numpy(features.mean(axis=0, dtype=np.float64)).float()
    parts = centred_or_rooted(torch.from_numpy(features), widths, is_rooted, means).numpy()
    centre, projection = discriminants(parts, artists)
    return CentredHead(widths, is_rooted, means, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())


def discriminants(
    features: npt.NDArray[np.float32],
    artists: npt.NDArray[Any],
    *,
    components: int = COMPONENTS,
    shrinkage: float = SHRINKAGE,
    spread: float = SPREAD,
    dim: int = DIM,
) -> tuple[Matrix, Matrix]:
    """Centre (f,) and projection (f, d) of features (n, f) labelled with artists (n,).

    Directions w solve B w = e W w, with B the covariance between artists and W the shrunk one within; each is scaled
    by (e / (1 + e)) ** spread, the share of its variance that lies between artists.
    """
    from scipy.linalg import eigh  # comes with scikit-learn

    centre = features.mean(axis=0, dtype=np.float64)
    centred = features - centre.astype(np.float32)
    components = min(components, features.shape[1], len(features) - 1)
    covariance = (centred.T @ centred) / len(centred)
    _, axes = eigh(covariance, subset_by_index=[len(covariance) - components, len(covariance) - 1])
    reduced = (centred @ axes).astype(np.float64)  # (n, c)

    _, codes, counts = np.unique(artists, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), components))
    np.add.at(means, codes, reduced)
    means /= counts[:, None]
    inside = reduced - means[codes]
    within = inside.T @ inside / len(inside)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / components * np.eye(components)
    between = (means * counts[:, None]).T @ means / len(reduced)
    shares, directions = eigh(between, within)
    best = np.argsort(-shares)[:dim]
    share = np.maximum(shares[best], 0)
    scaled = directions[:, best] * (share / (1 + share)) ** spread
    return centre, axes @ scaled


def _features(
    table: pd.DataFrame, copy: int, names: Sequence[str], weights: Path, work: Path, bar: Bar
) -> npt.NDArray[np.float32]:
    parts = []
    for name in names:
        with bar(len(table), f"{name}, copy {copy + 1} of {COPIES}, paintings") as advance:
            parts.append(backbone_features(name, weights, table, copy, work / "features", SIZE, advance))
    return np.concatenate(parts, axis=1)
