"""Terms for a verdict on a pair, alone and combined: AUC / share found at 1% false positives.

    python benchmarks/verdict.py paintings.artidx [museum.artidx ...]

An index with a column `split` is measured on its val_unseen and val_seen, each around its own centre; any other as a
whole. Sums are fitted by logistic regression to val_unseen, so their results there are slightly too good. Artist lists
are the posteriors over the artists of the split train or, without that split, over the index's own other paintings.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

from artidx import Index
from artidx.index.measure.splits import split_names
from artidx.index.scoring.artist_scores import gallery_scores
from artidx.index.scoring.artists import artist_codes
from artidx.index.scoring.centre import centre_of, centred
from artidx.index.scoring.curve import PairCurve
from artidx.index.scoring.neighbourhood import neighbourhoods_among

NEAREST = 0.1  # share of the index over which local scaling averages
SUMS = (
    ("distance",),
    ("local scaling",),
    ("neighbourhoods",),
    ("artist lists",),
    ("distance", "local scaling"),
    ("distance", "artist lists"),
    ("distance", "neighbourhoods"),
    ("distance", "neighbourhoods", "local scaling"),
    ("distance", "neighbourhoods", "artist lists"),
)

Terms = dict[str, np.ndarray]


def terms_of(index: Index, split: str | None) -> tuple[Terms, np.ndarray]:
    """(p,) values of each term, larger for the same artist, and whether the pair is by one artist."""
    table, embeddings = index.generation.table, index.generation.embeddings
    codes, keys = artist_codes(table["artist_key"])
    splits = split_names(table, "split")
    here = (codes >= 0) & ((splits == split).to_numpy(bool) if split else True)
    there = (splits == "train").to_numpy(bool) if split else here
    vectors = centred(embeddings[here], centre_of(embeddings[here], codes[here]))
    cosines = vectors @ vectors.T
    a, b = np.triu_indices(len(vectors), 1)
    others = np.sort(cosines - 4 * np.eye(len(vectors), dtype=np.float32), axis=1)
    crowd = others[:, -max(1, round(NEAREST * len(vectors))) :].mean(axis=1)
    around = neighbourhoods_among(
        vectors, vectors, table["vector_sha256"][here].to_numpy(object), np.arange(len(vectors))
    )
    if around is None:
        sys.exit(f"{index.name}: has too few paintings to compare neighbourhoods")
    similarity = around.similarity(slice(None), slice(None))
    centre = centre_of(embeddings[there], codes[there])
    gallery, queries = centred(embeddings[there], centre), centred(embeddings[here], centre)
    own = np.arange(len(queries)) if there is here else None
    scored = gallery_scores(gallery, codes[there], len(keys), queries, own)
    known, unknown = index.calibration.artists.posterior(scored)
    lists = np.sqrt(np.column_stack([known, unknown]))
    terms = {
        "distance": cosines[a, b],
        "local scaling": (2 * cosines - crowd[:, None] - crowd[None, :])[a, b],
        "neighbourhoods": similarity[a, b],
        "artist lists": (lists @ lists.T)[a, b],
    }
    return terms, codes[here][a] == codes[here][b]


def curve_of(score: np.ndarray, is_same: np.ndarray) -> PairCurve:
    curve = PairCurve.empty()
    curve.add(3.9 * (score.max() - score) / max(np.ptp(score), 1e-9), is_same)
    return curve


def main(paths: list[str]) -> None:
    settings = {}
    for path in paths:
        index = Index.open(path)
        has_splits = "split" in index.generation.table
        for split in ("val_unseen", "val_seen") if has_splits else (None,):
            settings[split or path] = terms_of(index, split)
    taught_by, is_same = settings["val_unseen"]
    print(f"{'':42}" + "".join(f"{name[-16:]:>18}" for name in settings))
    for names in SUMS:
        model = LogisticRegression(C=1e6, class_weight="balanced", max_iter=1000)
        model.fit(np.column_stack([taught_by[name] for name in names]), is_same)
        cells = []
        for terms, same in settings.values():
            curve = curve_of(model.decision_function(np.column_stack([terms[name] for name in names])), same)
            cells.append(f"{curve.auc:.4f} / {curve.at(0.01).true_positive_rate:.3f}")
        print(f"{' + '.join(names):42}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main(sys.argv[1:])
