"""How a model does on photographs from other sources, of all known artists and of those whom the first source holds.

    python benchmarks/first_source.py PAINTINGS                       # base
    ARTIDX_MODEL=small python benchmarks/first_source.py PAINTINGS    # small

PAINTINGS: as all_origins.py takes it. Nothing is embedded: the vectors are those of its reference gallery, of which the
training paintings are the gallery here, and the photographs of val_away the queries. Out of the gallery are val_away's
and strangers_away's photographs by other artists.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from all_origins import joined

from artidx import Index
from artidx.embedder.catalogs.catalog import artist_key
from artidx.index.measure.retrieval import nearest_scores
from artidx.index.scoring.artist_scores import GalleryScores, gallery_scores
from artidx.index.scoring.centre import centre_of, centred
from artidx.index.scoring.sculpture import likeness_in


def main(paintings: str) -> None:
    index = Index.open()
    generation, calibration = index.generation, index.calibration
    sculptures = calibration.artists.sculptures
    table = joined(Path(paintings).resolve()).set_index("id").loc[generation.table["id"]]
    vectors = np.load(generation.folder / "paintings.npy").astype(np.float32)
    keys = pd.Series([artist_key(name) for name in table["artist"]], index=table.index)
    is_learnt = (table["measured"] == "train").to_numpy()
    names = sorted(keys[is_learnt].dropna().unique())
    places = {key: place for place, key in enumerate(names)}
    codes = np.array([places.get(key, -1) for key in keys])
    centre = centre_of(vectors[is_learnt], codes[is_learnt])
    gallery = centred(vectors[is_learnt], centre)
    split, is_known = table["measured"].to_numpy(), codes >= 0
    is_here = is_known & (split == "val_away")
    is_out = ~is_known & keys.notna().to_numpy() & np.isin(split, ("val_away", "strangers_away"))
    first_source = np.isin(np.arange(len(names)), codes[(table["split"] == "train").to_numpy()])

    def scored(which: np.ndarray) -> GalleryScores:
        found = gallery_scores(gallery, codes[is_learnt], len(names), centred(vectors[which], centre))
        if sculptures is None:
            return found
        there, asked = vectors[is_learnt], vectors[which]
        return replace(found, likeness=likeness_in(sculptures, there, codes[is_learnt], len(names), asked))

    out, by = scored(is_out), pd.factorize(keys[is_out])[0]
    for name, which in (
        ("all known artists", is_here),
        ("artists of the first source", is_here & first_source[np.maximum(codes, 0)]),
    ):
        scores, intervals, _ = nearest_scores(
            scored(which), codes[which], out, codes[is_learnt], names, calibration.artists, by
        )
        low, high = intervals["identified_at_10_percent"]
        right = dict(zip(scores.false_acceptance, scores.correct_identification, strict=True))[0.1]
        print(
            f"{name}: {scores.queries} queries, {scores.out_of_gallery} out of the gallery; artist first "
            f"{scores.top_1:.3f}, in five {scores.top_5:.3f}; "
            f"right name at 10% {right:.3f} ({low:.3f} to {high:.3f}); "
            f"known or unknown, AUC {scores.known_auc:.3f}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
