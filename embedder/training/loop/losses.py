"""Losses and miners of metric learning, from pytorch-metric-learning, over squared Euclidean distance.

Between unit vectors that is twice the distance of an index. Means are over all comparisons, including those without
loss, so that curves of different epochs can be compared.
"""

from __future__ import annotations

from typing import Any

from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss, CosFaceLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn


def contrastive_loss(margin: float) -> Any:
    """mean d(a, p) + mean max(0, margin - d(a, n)) (Hadsell et al., 2006, with d squared throughout)."""
    return ContrastiveLoss(pos_margin=0, neg_margin=margin, distance=_squared(), reducer=MeanReducer())


def triplet_loss(margin: float) -> Any:
    """mean max(0, d(a, p) - d(a, n) + margin) (FaceNet; Schroff et al., 2015)."""
    return TripletMarginLoss(margin, distance=_squared(), reducer=MeanReducer())


def artist_softmax(proxies: Tensor, scale: float, margin: float) -> Any:
    """Cross entropy of scale * (cosine to each artist's proxy), minus the margin for the right one (CosFace).

    proxies: (artists, d) initial values; they are trained, too, as the loss' only parameter W (d, artists).
    """
    loss: Any = CosFaceLoss(*proxies.shape, margin=margin, scale=scale)
    loss.W = nn.Parameter(proxies.T.contiguous().clone())
    return loss


def hard_batch() -> Any:
    """For each anchor of a batch, its farthest positive and its nearest negative (Hermans et al., 2017)."""
    return BatchHardMiner(distance=_squared())


def semi_hard(margin: float) -> Any:
    """Every triplet whose negative is farther than its positive, but by less than the margin (FaceNet)."""
    return TripletMarginMiner(margin, type_of_triplets="semihard", distance=_squared())


def _squared() -> Any:
    return LpDistance(normalize_embeddings=False, p=2, power=2)
