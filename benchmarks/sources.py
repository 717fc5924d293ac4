"""How well a calibration holds for a source that it was not fitted to: each source of val_away in turn.

    python benchmarks/sources.py PAINTINGS                       # base
    ARTIDX_MODEL=small python benchmarks/sources.py PAINTINGS    # small

PAINTINGS: as all_origins.py takes it. Nothing is embedded: the vectors are those of the model's reference gallery. No
photograph of these sources was trained on. The calibration is fitted again without one of them and, beside it, with all
of them, as for the file that ships. Both judge this source's photographs: pairs in an index of these alone and asked of
the training paintings, and their artists among those of the training paintings. Unknown are the source's other artists.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from all_origins import joined

from artidx import Index
from artidx.embedder.catalogs.catalog import artist_key
from artidx.index.measure.evaluate import SplitScores, evaluate
from artidx.index.measure.fit import calibrate_model

SOURCES = "val_away"


def main(paintings: str) -> None:
    index = Index.open()
    stored = index.generation.table
    table = joined(Path(paintings).resolve()).set_index("id", drop=False).loc[stored["id"]].reset_index(drop=True)
    table = table.assign(
        artist_key=[artist_key(name) for name in table["artist"]], vector_sha256=stored["vector_sha256"].to_numpy()
    )
    embeddings = np.asarray(index.generation.embeddings)
    is_away = table["measured"] == SOURCES
    splits = table["measured"].mask(is_away, table["source"])
    names = sorted(splits[is_away].unique())
    print("source, sources of the calibration: pairs in an index of its own / asked of the gallery; artists")
    for name in names:
        for what, elsewhere in (("all", names), ("the others", [other for other in names if other != name])):
            fitted = calibrate_model(
                table,
                embeddings,
                splits.mask(splits.isin(elsewhere), SOURCES),
                gallery="train",
                seen="val_seen",
                unseen="val_unseen",
                elsewhere=("strangers_away", SOURCES),
            )
            detector = index.calibration.artists.sculptures  # learnt from the training set, so the same
            calibration = replace(fitted, artists=replace(fitted.artists, sculptures=detector))
            (scores,) = evaluate(table, embeddings, splits, [name], "train", calibration)
            print(f"{name}, {what}: {_described(scores)}", flush=True)


def _described(scores: SplitScores) -> str:
    pairs = " / ".join(
        f"{each.called_same.false_positive_rate:.1%} pass a nominal 10%, off by {each.calibration_error:.3f}"
        for each in (scores.pairs, scores.outside)
    )
    nearest = scores.nearest
    return (
        f"{pairs}; {nearest.queries} known and {nearest.out_of_gallery} unknown, AUC {nearest.known_auc:.3f}, "
        f"right name at 10% {nearest.correct_identification[-1]:.3f}, none of these off by {nearest.unknown_error:.3f}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
