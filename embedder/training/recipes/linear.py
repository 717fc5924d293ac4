"""The linear recipe: frozen backbones, then a projection that separates the training artists.

There is no gradient descent: features of every painting are computed once (features.py), whitened by the covariance
within artists, and projected to the directions in which artists differ (linear discriminant analysis, Fisher 1936;
shrunk covariance, Ledoit and Wolf 2004). Each painting is used as it is and as re-digitised copies (augment.py):
changes by camera and JPEG then count as variation within an artist, and whitening shortens them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field, field_validator
from torch import nn

from ....errors import BadCatalog
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data.features import backbone_features
from ..networks.backbones import BACKBONES
from ..networks.ensemble import CentredHead, Ensemble, LinearHead, balanced, centred_or_rooted
from ..networks.loading import Backbone, licence_of, load_frozen, widths_of
from ..networks.timm_backbone import TimmBackbone
from ..settings import Settings

SIZE = 224  # px

Matrix = npt.NDArray[np.float64]


class LinearSettings(Settings):
    """The settings of the recipe, and the table `linear` of the tuned one."""

    backbones: tuple[str, ...] = Field(
        ("mobilenet_v2", "dinov2_vits14"),
        min_length=1,
        max_length=8,
        description="frozen networks, by name (loading.py)",
    )
    copies: int = Field(2, ge=1, le=16, description="of each painting: as it is, and the others re-digitised")
    smallest_artist: int = Field(5, ge=2, le=1000, description="paintings; artists with fewer are left out of training")
    components: int = Field(1024, ge=2, le=8192, description="kept by PCA before the discriminants")
    shrinkage: float = Field(0.2, gt=0, le=1, description="of the within-artist covariance towards a sphere")
    spread: float = Field(
        0.25, ge=0, le=10, description="exponent of e / (1 + e): 0 whitens fully, 1 favours what parts artists best"
    )
    dim: int = Field(256, ge=1, le=4096, description="numbers of a vector")

    @field_validator("backbones")
    @classmethod
    def _are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len({*names}) < len(names):
            raise ValueError("a backbone is named twice")
        return names


def train_linear(
    table: pd.DataFrame, settings: LinearSettings, weights: Path, work: Path, note: Callable[[str], None], bar: Bar
) -> Ensemble:
    """Train on a catalog's table.

    weights: the backbones' folder; work: where features are kept between runs. Raises BadCatalog if there are too few
    artists, BadModel, BadSetting.
    """
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object)
    is_large = keys.map(keys.value_counts()).fillna(0).to_numpy() >= settings.smallest_artist
    if keys[is_large].nunique() < 2:
        raise BadCatalog(f"training needs two artists or more with {settings.smallest_artist} paintings each")
    backbones = {name: load_frozen(name, weights, SIZE) for name in settings.backbones}
    copies = range(settings.copies)
    features = np.concatenate([_features(table, copy, settings, weights, work, bar)[is_large] for copy in copies])
    artists = np.tile(keys[is_large].to_numpy(str), settings.copies)
    note(f"linear discriminants of {len(features):,} features by {keys[is_large].nunique():,} artists")
    return Ensemble(list(backbones.values()), _head(features, artists, backbones, settings)).eval()


def describe_linear(paintings: int, artists: int, settings: LinearSettings, weights: Path) -> str:
    """A description of the model in Markdown for its card. weights: the backbones' folder, for their licences."""
    licences = {name: licence_of(name, load_frozen(name, weights, SIZE)) for name in settings.backbones}
    members = "\n".join(f"- `{name}`, weights under {licence}" for name, licence in licences.items())
    how = " (of timm's networks without the root, minus their mean)" if {*settings.backbones} - {*BACKBONES} else ""
    s, copies = settings, settings.copies - 1
    return f"""Frozen pretrained backbones, read at several depths (mean and standard deviation of every channel):

{members}

The signed square root of each layer{how}, at unit length; PCA to {s.components}; linear
discriminants (shrinkage {s.shrinkage:g}, each scaled by (e / (1 + e)) ^ {s.spread:g}) to {s.dim}. Fitted to
{paintings:,} paintings by {artists} artists, each as it is and in {copies}
re-digitised {"copy" if copies == 1 else "copies"}."""


def _head(
    features: npt.NDArray[np.float32],
    artists: npt.NDArray[Any],
    backbones: dict[str, Backbone],
    settings: LinearSettings,
) -> nn.Module:
    """The head for raw features (n, f)."""
    widths = [width for name, backbone in backbones.items() for width in widths_of(name, backbone)]
    if not any(isinstance(backbone, TimmBackbone) for backbone in backbones.values()):
        parts = balanced(torch.from_numpy(features), widths).numpy()
        centre, projection = without_surplus(*discriminants(parts, artists, settings), artists)
        return LinearHead(widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    is_rooted = [
        not isinstance(backbone, TimmBackbone)
        for name, backbone in backbones.items()
        for _ in widths_of(name, backbone)
    ]
    means = torch.from_numpy(features.mean(axis=0, dtype=np.float64)).float()
    parts = centred_or_rooted(torch.from_numpy(features), widths, is_rooted, means).numpy()
    centre, projection = without_surplus(*discriminants(parts, artists, settings), artists)
    return CentredHead(widths, is_rooted, means, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())


def discriminants(
    features: npt.NDArray[np.float32], artists: npt.NDArray[Any], settings: LinearSettings
) -> tuple[Matrix, Matrix]:
    """Centre (f,) and projection (f, d) of features (n, f) labelled with artists (n,).

    Directions w solve B w = e W w, with B the covariance between artists and W the shrunk one within; each is scaled by
    (e / (1 + e)) ** spread, e / (1 + e) being the share of its variance between artists.
    """
    from scipy.linalg import eigh  # installed with scikit-learn

    centre = features.mean(axis=0, dtype=np.float64)
    centred = features - centre.astype(np.float32)
    components = min(settings.components, features.shape[1], len(features) - 1)
    covariance = (centred.T @ centred) / len(centred)
    _, axes = eigh(covariance, subset_by_index=[len(covariance) - components, len(covariance) - 1])
    reduced = (centred @ axes).astype(np.float64)  # (n, c)

    _, codes, counts = np.unique(artists, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), components))
    np.add.at(means, codes, reduced)
    means /= counts[:, None]
    inside = reduced - means[codes]
    within = inside.T @ inside / len(inside)
    sphere = np.trace(within) / components * np.eye(components)
    within = (1 - settings.shrinkage) * within + settings.shrinkage * sphere
    between = (means * counts[:, None]).T @ means / len(reduced)
    shares, directions = eigh(between, within)
    best = np.argsort(-shares)[: settings.dim]
    share = np.maximum(shares[best], 0)
    scaled = directions[:, best] * (share / (1 + share)) ** settings.spread
    return centre, axes @ scaled


def without_surplus(centre: Matrix, projection: Matrix, artists: npt.NDArray[Any]) -> tuple[Matrix, Matrix]:
    """Discriminants with zeros in the directions beyond the number of artists minus one.

    Those are only rounding errors, and with a spread of 0 they would weigh as much as the others. Recipes that train
    the projection further keep them.
    """
    meaning = np.arange(projection.shape[1]) < len(np.unique(artists)) - 1
    return centre, projection * meaning


def _features(
    table: pd.DataFrame, copy: int, settings: LinearSettings, weights: Path, work: Path, bar: Bar
) -> npt.NDArray[np.float32]:
    parts = []
    for name in settings.backbones:
        with bar(len(table), f"{name}, copy {copy + 1} of {settings.copies}, paintings") as advance:
            parts.append(backbone_features(name, weights, table, copy, work / "features", SIZE, advance))
    return np.concatenate(parts, axis=1)
