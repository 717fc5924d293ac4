"""Probabilities of the artists and styles that a model was trained on, as part of the vector.

If a classifier assigns two paintings to the same known artist, they probably are by one artist: that is a product of
their posteriors, as in the winning entry of Painter by Numbers (Ilenic, 2016). The square roots of probabilities are
unit vectors whose product is the Bhattacharyya coefficient, so they can be appended to an embedding that works for
unseen artists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .ensemble import Projection

CONFIDENCE = 25.0  # scikit-learn's C, for unit vectors: the inverse of the regularisation
ITERATIONS = 300
NUISANCE = 32.0  # how strongly nuisance directions are shortened; 16 and 64 gave the same on validation, within noise


class Posterior(nn.Module):
    """A softmax classifier. forward: (b, d) unit vectors -> (b, c) square roots of the probabilities of the classes."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """weight: (d, c); bias: (c,)."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, vectors: Tensor) -> Tensor:
        return functional.softmax(vectors @ self.weight + self.bias, dim=1).clamp_min(1e-12).sqrt()


class MeanPosterior(nn.Module):
    """The average of several classifiers. forward: (b, f) -> (b, c) square roots of the mean probabilities.

    Each sees its own part of the features. Classifiers of different networks are wrong about different paintings, and
    less confident together where they are wrong.
    """

    def __init__(self, views: Sequence[Projection], posteriors: Sequence[Posterior]) -> None:
        """views: projections of the parts of the features, in order; posteriors: one for each, of the same classes."""
        super().__init__()
        self.views, self.posteriors = nn.ModuleList(views), nn.ModuleList(posteriors)
        self.widths = [len(view.scales) for view in views]
        self.classes = len(posteriors[0].bias)

    def forward(self, features: Tensor) -> Tensor:
        parts = torch.split(features, self.widths, dim=1)
        said = [
            posterior(functional.normalize(view(part), dim=1)) ** 2
            for view, posterior, part in zip(self.views, self.posteriors, parts, strict=True)
        ]
        return torch.stack(said).mean(dim=0).sqrt()


class WithPosteriors(nn.Module):
    """Joined vectors with classifier probabilities, as one vector. forward: (b, f) -> (b, d), not normalised."""

    def __init__(self, joined: Projection, posteriors: Sequence[MeanPosterior], projection: Projection) -> None:
        """projection: of the joined vector at unit length and the posteriors after it, weighted by its scales."""
        super().__init__()
        self.joined, self.posteriors, self.projection = joined, nn.ModuleList(posteriors), projection

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.projection(_side_by_side(features, self.joined, self.posteriors))
        return found


class Question(NamedTuple):
    """What classifiers are trained to predict.

    labels: (n,) texts, "" if there is none; weight: of the probabilities, relative to a joined vector of unit length;
    views: the input of each classifier, projections of parts of the features, in order.
    """

    labels: npt.NDArray[Any]
    weight: float
    views: Sequence[Projection]


def posterior_of(vectors: npt.NDArray[np.float32], labels: npt.NDArray[Any]) -> Posterior:
    """A classifier of unit vectors (n, d) by labels (n,), two or more; each label counts the same, whatever its number
    of vectors.

    Multinomial logistic regression.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=CONFIDENCE, class_weight="balanced", max_iter=ITERATIONS).fit(vectors, labels)
    weight, bias = fitted.coef_.T, fitted.intercept_
    if len(fitted.classes_) == 2:  # given as one
        weight, bias = np.hstack([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return Posterior(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())


def with_posteriors(
    joined: Projection, features: npt.NDArray[np.float32], questions: Sequence[Question], dim: int
) -> WithPosteriors:
    """A head that appends posteriors to joined vectors, and projects both to `dim` dimensions.

    features: (n, f) that `joined` takes. With fewer than two labels, there is no classifier.
    """
    posteriors, scales = [], [np.ones(joined.axes.shape[1])]
    for question in questions:
        if len({*question.labels} - {""}) > 1:
            posteriors.append(_fitted(question, features))
            scales.append(np.full(posteriors[-1].classes, question.weight))
    with torch.inference_mode():
        parts = _side_by_side(torch.from_numpy(features), joined, posteriors).numpy()
    return WithPosteriors(joined, posteriors, principal(parts, np.concatenate(scales), dim))


def _side_by_side(features: Tensor, joined: nn.Module, posteriors: Iterable[nn.Module]) -> Tensor:
    """(b, f) -> (b, d + classes): the joined vector at unit length, and the posteriors."""
    return torch.cat(
        [functional.normalize(joined(features), dim=1), *(posterior(features) for posterior in posteriors)], dim=1
    )


def _fitted(question: Question, features: npt.NDArray[np.float32]) -> MeanPosterior:
    is_labelled = question.labels != ""
    known, labels = torch.from_numpy(features[is_labelled]), question.labels[is_labelled]
    posteriors, widths = [], [len(view.scales) for view in question.views]
    for view, part in zip(question.views, torch.split(known, widths, dim=1), strict=True):
        with torch.inference_mode():
            seen = functional.normalize(view(part), dim=1).numpy()
        posteriors.append(posterior_of(seen, labels))
    return MeanPosterior(question.views, posteriors)


def principal(
    vectors: npt.NDArray[np.float32],
    scales: npt.NDArray[np.float64],
    dim: int,
    shifts: npt.NDArray[np.float32] | None = None,
) -> Projection:
    """The `dim` axes along which vectors (n, f), times scales (f,), vary most.

    shifts: (m, f) changes of vectors for irrelevant reasons (nuisance directions); vectors are shortened along these.
    """
    scaled = vectors * scales
    shorter = np.eye(len(scales)) if shifts is None else _nuisance_normalisation(shifts * scales)
    variance, axes = np.linalg.eigh(shorter @ np.cov(scaled, rowvar=False) @ shorter)
    best = shorter @ axes[:, np.argsort(-variance)[:dim]]  # (f, dim)
    return Projection(*(torch.from_numpy(each).float() for each in (scales, scaled.mean(axis=0), best)))


def _nuisance_normalisation(shifts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(f, f) the symmetric root of the inverse of 1 + NUISANCE * mean of s s' over shifts s (m, f).

    Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, 2006), each painting being a class.
    """
    spread, axes = np.linalg.eigh(np.eye(shifts.shape[1]) + NUISANCE * (shifts.T @ shifts) / len(shifts))
    root: npt.NDArray[np.float64] = (axes / np.sqrt(spread)) @ axes.T
    return root
