"""Fit calibrations to labelled paintings, and measure them on artists that the fit has not seen.

A model's is fitted to splits of a catalog (`calibrate_model`), an index's to its own paintings (fit_index.py).
fit_pairs.py fits pairs, fit_artists.py artists' scores. Needs scikit-learn (artidx[calibrate]). The fitted formulas are
described, and used, in calibration.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import BadCatalog
from ..scoring.artist_scores import ArtistCalibration, ArtistCase, gallery_scores
from ..scoring.artists import artist_codes
from ..scoring.calibration import Calibration
from ..scoring.centre import centre_of, centred
from ..scoring.curve import Pairs
from ..scoring.vectors import Array, Integers
from .fit_artists import calibrate_artists
from .fit_pairs import calibrate_pairs, setting_asked, setting_within
from .fit_sculpture import fit_sculptures, sculptures_in
from .groups import thinned

THIN_GALLERIES = (10.0, 3.0, 1.7)  # mean paintings per artist; really slightly more, since all have at least one


def calibrate_model(
    table: pd.DataFrame,
    embeddings: Array,
    splits: pd.Series[str],
    *,
    gallery: str,
    seen: str,
    unseen: str,
    elsewhere: Sequence[str] = (),
) -> Calibration:
    """Calibrate pairs on artists that the model has not seen, and artists on both: seen ones are in the gallery, unseen
    not.

    Pairs are judged in an index of the unseen artists alone and, for pairs of which it holds neither, in one of the
    gallery alone. elsewhere: splits of photographs from other sources, by artists of the gallery and by others; the fit
    then covers both, with equal weights. embeddings: (n, d) as the model gives them. If the table has a column `kind`,
    a detector of sculptures is fitted to the gallery's.
    """
    paintings = _Paintings.of_table(table, embeddings, splits, (gallery, seen, unseen, *elsewhere))
    paintings.of[seen] &= np.isin(paintings.codes, paintings.codes[paintings.of[gallery]])
    within, outside, paired = _pairs_of(paintings, gallery, unseen, elsewhere)
    if not paintings.of[seen].any():
        raise BadCatalog(f"calibrating needs paintings in the split {seen} by artists of the split {gallery}")
    measured_on = f"all pairs of {paintings.described(unseen)}, held out when the model was measured" + "".join(
        f", and of {paintings.described(name)}" for name in paired[1:]
    )
    held = paintings.of[gallery]
    sculptures = fit_sculptures(embeddings[held], sculptures_in(table)[held])
    artists = replace(_artists_of(paintings, gallery, seen, unseen, elsewhere), sculptures=sculptures)
    return Calibration(calibrate_pairs(within, measured_on), artists, calibrate_pairs(outside, measured_on))


@dataclass(frozen=True)
class _Paintings:
    """Paintings of a catalog, with their splits.

    embeddings: (n, d); codes: (n,) of artists, of whom there are `artists`; hashes: (n,); of: (n,) bool for each split,
    the paintings with an artist in it.
    """

    embeddings: Array
    codes: Integers
    artists: int
    hashes: npt.NDArray[np.object_]
    of: dict[str, npt.NDArray[np.bool_]]

    @classmethod
    def of_table(
        cls, table: pd.DataFrame, embeddings: Array, splits: pd.Series[str], names: Sequence[str]
    ) -> _Paintings:
        codes, keys = artist_codes(table["artist_key"])
        of = {name: (splits == name).to_numpy() & (codes >= 0) for name in names}
        return cls(embeddings, codes, len(keys), table["vector_sha256"].to_numpy(object), of)

    def described(self, split: str) -> str:
        here = self.of[split]
        return f"{here.sum():,} paintings by {len(np.unique(self.codes[here]))} artists ({split})"

    def case(self, among: Integers, known: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> ArtistCase:
        """The case of known and unknown queries (n,), and a gallery of the paintings at these places."""
        codes, gallery = self.codes[among], self.embeddings[among]
        centre = centre_of(gallery, codes)
        scored = [
            gallery_scores(centred(gallery, centre), codes, self.artists, centred(self.embeddings[asked], centre))
            for asked in (known, unknown)
        ]
        return ArtistCase(scored[0], self.codes[known], scored[1], self.codes[known], self.codes[unknown])


def _pairs_of(
    paintings: _Paintings, gallery: str, unseen: str, elsewhere: Sequence[str]
) -> tuple[list[Pairs], list[Pairs], list[str]]:
    """Pairs of each split in an index of it alone, and asked of the gallery; and which splits have both kinds of
    pair."""
    embeddings, codes, hashes = paintings.embeddings, paintings.codes, paintings.hashes
    held = paintings.of[gallery]
    within, outside, paired = [], [], []
    for name in (unseen, *elsewhere):
        asked = paintings.of[name]
        alone = setting_within(embeddings[asked], codes[asked], hashes[asked])
        if alone.is_same.any() and not alone.is_same.all():
            paired.append(name)
            within.append(alone)
            outside.append(setting_asked(embeddings[asked], codes[asked], embeddings[held], codes[held], hashes[held]))
        elif name == unseen:
            raise BadCatalog(
                f"calibrating needs pairs of paintings by the same artist and by others in the split {unseen}"
            )
    return within, outside, paired


def _artists_of(
    paintings: _Paintings, gallery: str, seen: str, unseen: str, elsewhere: Sequence[str]
) -> ArtistCalibration:
    """Cases with the gallery, and with galleries that have few paintings of most artists."""
    codes, of, described = paintings.codes, paintings.of, paintings.described
    away = np.any([of[name] for name in elsewhere], axis=0) if elsewhere else np.zeros(len(codes), bool)
    whole = np.flatnonzero(of[gallery])
    thin = [thinned(whole, codes, mean) for mean in THIN_GALLERIES]
    means = ", ".join(f"{len(among) / len(np.unique(codes[among])):.1f}" for among in thin)
    is_held = np.isin(codes, codes[of[gallery]])
    asked_of = [(of[seen], of[unseen] & ~is_held), *([(away & is_held, away & ~is_held)] if elsewhere else [])]
    return calibrate_artists(
        [paintings.case(among, *asked) for among in (whole, *thin) for asked in asked_of],
        f"{described(seen)} as known and {described(unseen)} as unknown"
        + "".join(f", and {described(name)}, known or not" for name in elsewhere)
        + f", against {described(gallery)} and against {means} paintings of each on average",
    )
