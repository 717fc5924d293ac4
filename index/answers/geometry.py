"""How one photograph maps onto another: local features, matched, and the homography that most of them fit.

SIFT (Lowe, 2004) with RootSIFT (Arandjelovic and Zisserman, 2012), a mutual ratio test, and MAGSAC++ (Barath et al.,
2020), all from OpenCV; then one photograph is warped onto the other, and they are compared patch by patch. Measures how
well they fit; same_picture.py decides what that means.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...embedder.pictures.images import Pixels
from ...errors import MissingPackage, exhausted

SIDE = 640  # pixels of the longer side, to which all photographs are scaled: enough for features, found in 50 ms
FEATURES = 1200
RATIO = 0.85  # of the nearest descriptor's distance to the second nearest's
REACH = 4.0  # pixels; MAGSAC++ weighs smaller ones by how likely they are
FEWEST = 12  # matches that fit one homography; four fit any
PATCH = 32  # pixels
EVERY = 2  # every so many pixels across and down, colours are compared: as good as all, in a third of the time
FLAT = 4.0  # grey levels of deviation below which a patch shows nothing to compare
MOST_STRETCHED = 3.0  # of one direction over the other: some collections publish long pictures as squares
MOST_ENLARGED = 8.0  # of lengths
KEPT = 32  # photographs whose features are cached, 2 MB each: people often ask about the same picture again

Matrix = npt.NDArray[np.float64]

_importing = threading.Lock()  # while one thread imports OpenCV, others would find it incomplete in sys.modules


@dataclass(frozen=True)
class Photograph:
    """A photograph, prepared for comparison. rgb: (h, w, 3), its longer side SIDE; points (n, 2); descriptors (n,
    128)."""

    rgb: Pixels
    size: tuple[int, int]  # width and height before scaling
    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]

    @cached_property
    def mirrored(self) -> Photograph:
        """The mirror image, without computing features again: a SIFT descriptor is a histogram of orientations in each
        of 4 x 4 cells, and mirroring reverses the order of the cells in a row and of the orientations."""
        fields = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8) % 8]
        descriptors = np.ascontiguousarray(fields.reshape(-1, 128))
        points = np.column_stack([self.rgb.shape[1] - 1 - self.points[:, 0], self.points[:, 1]])
        return Photograph(np.ascontiguousarray(self.rgb[:, ::-1]), self.size, points, descriptors)


@dataclass(frozen=True)
class Fit:
    """How b maps onto a. share_a, share_b: the share of each photograph that the other shows too, 0 to 1.

    matches: features that fit one homography; residual: their median distance to it, as a share of the diagonal;
    agreement: median correlation of grey patches after warping, -1 to 1; enlarged: lengths in a's pixels over lengths
    in b's, before scaling; turned: degrees; stretched: lengths in one direction over those in the other. raw, fitted:
    root mean square difference of the overlap in grey levels, before and after fitting the colours of one to the
    other's; saturation: mean of the largest minus the smallest channel.
    """

    matches: int
    share_a: float
    share_b: float
    residual: float
    agreement: float
    enlarged: float
    turned: float
    stretched: float
    raw: float
    fitted: float
    saturation_a: float
    saturation_b: float


def photograph(image: Image.Image) -> Photograph:
    """Find the features of an upright RGB image. Raises MissingPackage."""
    factor = SIDE / max(image.size)
    small = image.resize(
        (max(16, round(image.width * factor)), max(16, round(image.height * factor))),
        Image.Resampling.BICUBIC,
        reducing_gap=3.0,
    )
    rgb = np.asarray(small.convert("RGB"), np.uint8)
    return Photograph(rgb, image.size, *_features(rgb.tobytes(), rgb.shape))


def fit(a: Photograph, b: Photograph) -> Fit | None:
    """How b maps onto a; None if no plausible homography fits."""
    cv2 = opencv()
    pairs = _matches(cv2, a.descriptors, b.descriptors)
    if len(pairs) < FEWEST:
        return None
    on_a, on_b = a.points[pairs[:, 0]], b.points[pairs[:, 1]]
    matrix, is_fit = cv2.findHomography(on_b, on_a, cv2.USAC_MAGSAC, REACH, maxIters=5000, confidence=0.999)
    if matrix is None or not np.isfinite(matrix).all():
        return None
    is_fit = is_fit.ravel().astype(bool)
    matches = _distinct(on_a[is_fit], on_b[is_fit])
    if matches < FEWEST:
        return None
    shape = _shape(cv2, matrix, a, b)
    return None if shape is None else _laid(cv2, matrix, a, b, on_a[is_fit], on_b[is_fit], matches, shape)


def opencv() -> Any:
    """The library. Raises MissingPackage; OutOfResources if there is not enough memory to load it."""
    try:
        with _importing:
            import cv2
    except ImportError as problem:
        raise exhausted(problem, "OpenCV") or MissingPackage(
            "to compare pictures by their geometry, OpenCV is needed; pip install 'artidx[review]'"
        ) from None
    return cv2


@lru_cache(KEPT)
def _features(rgb: bytes, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    cv2 = opencv()
    grey = cv2.cvtColor(np.frombuffer(rgb, np.uint8).reshape(shape), cv2.COLOR_RGB2GRAY)
    # Dark varnish leaves little contrast, so the threshold is lower than OpenCV's.
    found, descriptors = cv2.SIFT_create(nfeatures=FEATURES, contrastThreshold=0.02).detectAndCompute(grey, None)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.float32)
    points = np.array([each.pt for each in found], np.float32)
    return points, np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9))


def _matches(cv2: Any, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """(m, 2) indices in a and b of features that are each other's nearest by a wide margin."""
    if min(len(a), len(b)) < 2:
        return np.empty((0, 2), np.int64)
    cosines = a @ b.T  # RootSIFT has unit length
    to_b, to_a = cosines.argmax(axis=1), cosines.argmax(axis=0)
    best = cosines[np.arange(len(a)), to_b]
    cosines[np.arange(len(a)), to_b] = -1
    second = cosines.max(axis=1)
    is_near = np.sqrt(np.maximum(1 - best, 0)) < RATIO * np.sqrt(np.maximum(1 - second, 1e-12))
    is_mutual = to_a[to_b] == np.arange(len(a))
    chosen = np.flatnonzero(is_near & is_mutual)
    return np.stack([chosen, to_b[chosen]], axis=1)


def _distinct(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> int:
    """How many matches are at different positions: one point may have several features."""
    return min(len({tuple(p) for p in np.round(points / 4).astype(int).tolist()}) for points in (a, b))


@dataclass(frozen=True)
class _Shape:
    share_a: float
    share_b: float
    enlarged: float
    turned: float
    stretched: float


def _shape(cv2: Any, matrix: Matrix, a: Photograph, b: Photograph) -> _Shape | None:
    """What the homography does to b's frame; None if neither a camera nor cropping could do that."""
    (ha, wa), (hb, wb) = a.rgb.shape[:2], b.rgb.shape[:2]
    corners = np.array([[0, 0], [wb, 0], [wb, hb], [0, hb]], np.float64)
    depth = np.column_stack([corners, np.ones(4)]) @ matrix[2]
    if (depth <= 0.2 * depth.max()).any():
        return None
    on_a = cv2.perspectiveTransform(corners[None], matrix)[0].astype(np.float32)
    if not cv2.isContourConvex(on_a[:, None]):
        return None
    frame = np.array([[0, 0], [wa, 0], [wa, ha], [0, ha]], np.float32)
    overlap, _ = cv2.intersectConvexConvex(on_a, frame)
    across, down = ((on_a[1] + on_a[2] - on_a[0] - on_a[3]) / 2 / wb, (on_a[2] + on_a[3] - on_a[0] - on_a[1]) / 2 / hb)
    if across[0] * down[1] - across[1] * down[0] <= 0:  # flipped
        return None
    lengths = np.hypot(*across), np.hypot(*down)
    middle = float(np.sqrt(lengths[0] * lengths[1]))
    # In original pixels: each photograph was scaled by SIDE over its longer side.
    enlarged = middle * (max(a.size) / SIDE) / (max(b.size) / SIDE)
    stretched = float(max(lengths) / min(lengths))
    if stretched > MOST_STRETCHED or not 1 / MOST_ENLARGED < middle < MOST_ENLARGED:
        return None
    turned = float(np.degrees(np.arctan2(across[1], across[0])))
    return _Shape(
        float(overlap / (ha * wa)), float(overlap / max(cv2.contourArea(on_a), 1)), float(enlarged), turned, stretched
    )


def _laid(
    cv2: Any, matrix: Matrix, a: Photograph, b: Photograph, on_a: Any, on_b: Any, matches: int, shape: _Shape
) -> Fit | None:
    """Warp the one with the finer detail in the overlap onto the other, and compare."""
    if np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) > 1:  # b would be enlarged: reduce a instead
        matrix, a, b, on_a, on_b = np.linalg.inv(matrix).astype(np.float64), b, a, on_b, on_a
        is_swapped = True
    else:
        is_swapped = False
    height, width = a.rgb.shape[:2]
    source = cv2.GaussianBlur(b.rgb, (0, 0), max(0.01, 0.4 / max(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))), 0.05)))
    laid = cv2.warpPerspective(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(np.full(b.rgb.shape[:2], 255, np.uint8), matrix, (width, height))
    inside = cv2.erode(inside, np.ones((9, 9), np.uint8)) > 250
    inside[:4] = inside[-4:] = inside[:, :4] = inside[:, -4:] = False
    if inside.sum() < 4 * PATCH * PATCH:
        return None
    there, here = (cv2.GaussianBlur(each, (0, 0), 1.0).astype(np.float32) for each in (a.rgb, laid))
    grey_there, grey_here = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (there, here))
    agreed = agreement(grey_there, grey_here, inside)
    some = np.s_[::EVERY, ::EVERY]
    one, two = (each[some][inside[some]] for each in (there, here))
    residual = np.median(np.hypot(*(cv2.perspectiveTransform(on_b[None].astype(np.float64), matrix)[0] - on_a).T))
    saturation = [_saturation(each) for each in (one, two)]
    # From the more colourful to the other: colours can be mapped to grey, but not grey to colours.
    fitted = _fitted(one, two) if saturation[0] >= saturation[1] else _fitted(two, one)
    if is_swapped:
        saturation.reverse()
    return Fit(
        matches,
        shape.share_a,
        shape.share_b,
        float(residual / np.hypot(height, width)),
        agreed,
        shape.enlarged,
        shape.turned,
        shape.stretched,
        float(np.sqrt(((one - two) ** 2).mean())),
        fitted,
        *saturation,
    )


def agreement(one: npt.NDArray[np.float32], two: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> float:
    """Median correlation of two grey pictures (h, w), patch by patch, over the pixels that are inside both.

    Only patches of which nine tenths are inside, and which are not uniform, count; 0 if there are fewer than four.
    """
    height, width = (side // PATCH * PATCH for side in inside.shape)

    def patches(picture: Any) -> Any:  # (patches, pixels)
        rows = picture[:height, :width].reshape(height // PATCH, PATCH, width // PATCH, PATCH)
        return rows.transpose(0, 2, 1, 3).reshape(-1, PATCH * PATCH)

    weights = patches(inside).astype(np.float32)
    is_within = weights.mean(axis=1) >= 0.9
    weights = weights[is_within]
    counts = weights.sum(axis=1)
    greys = [patches(each)[is_within] for each in (one, two)]
    x, y = (weights * (each - ((each * weights).sum(axis=1) / counts)[:, None]) for each in greys)
    spread_x, spread_y = (np.sqrt((each * each).sum(axis=1) / counts) for each in (x, y))
    is_textured = np.maximum(spread_x, spread_y) >= FLAT
    if is_textured.sum() < 4:
        return 0.0
    correlations = (x * y).sum(axis=1) / counts / np.maximum(spread_x * spread_y, 1e-6)
    return float(np.median(correlations[is_textured]))


def _saturation(pixels: Any) -> float:
    """The mean of the largest minus the smallest channel; pixels (n, 3)."""
    red, green, blue = pixels.T
    largest, smallest = (each(each(red, green), blue) for each in (np.maximum, np.minimum))
    return float((largest - smallest).mean())


def _fitted(source: Any, target: Any) -> float:
    """Root mean square difference in levels after the colours of one were fitted to the other's by a linear map."""
    design = np.column_stack([source, np.ones(len(source), np.float32)])
    gram = design.T.astype(np.float64) @ design + 1e-3 * np.eye(4)  # a grey picture has three equal channels
    weights = np.linalg.solve(gram, design.T.astype(np.float64) @ target)
    return float(np.sqrt(((design @ weights - target) ** 2).mean()))
