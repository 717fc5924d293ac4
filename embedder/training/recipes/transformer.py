"""The transformer recipe: a pretrained vision transformer's last blocks, fine-tuned on photographs from several
sources.

The first blocks are frozen, and their output for every painting, as it is and re-digitised, is computed once
(tokens.py). So an epoch costs only the last blocks, and half of that: each batch has a part of the patches (Li et al.,
2023, show that little is lost). Artists are classified by a cosine softmax with a margin (CosFace), initialised with
linear discriminants. Prolific artists are sampled less often than their share, and the works of an artist who is in
several sources (the column `source`) equally often from each: then what is typical of a source does not help to
recognise the artist.

The head is that of the tuned recipe (joining.py), with one member.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ....errors import BadCatalog
from ... import kept
from ...catalogs.catalog import artist_key
from ...parallel import Bar
from ..data import augment
from ..data import tokens as kept_tokens
from ..data.batches import Places
from ..data.splits import SEEN, labels_sha256
from ..data.tokens import Tokens, tokens_of
from ..loop.epochs import Examples, Objective, Run, Score, kept_in, run_epochs
from ..loop.losses import artist_softmax
from ..loop.schedules import Cosine
from ..loop.trainer import precision_of
from ..networks.ensemble import CentredHead, Ensemble, centred_or_rooted
from ..networks.halves import FirstBlocks, LastBlocks, halves
from ..networks.loading import load_frozen, weights_key
from ..networks.timm_backbone import TimmBackbone
from . import fine_tuning
from .joining import HeadSettings, Labels, head_of, labels_of
from .linear import SIZE, LinearSettings, discriminants

FOLDER = "transformer"
EMBEDDED_AT_ONCE = 64
MOST_OFTEN = 3.0  # factor by which an artist's works from a rare source are oversampled, at most

Vectors = npt.NDArray[np.float32]


class TransformerSettings(fine_tuning.Stepping):
    """The settings of the recipe."""

    backbone: str = Field("clip_vitb16", description="any of timm's vision transformers (timm_backbone.py)")
    frozen: int = Field(8, ge=1, le=100, description="of its first blocks keep their weights")
    copies: int = Field(2, ge=1, le=16, description="of each painting: as it is, and the others re-digitised")
    epochs: int = Field(3, ge=1, le=1000, description="on the splits that are trained on")
    rest: int = Field(2, ge=1, le=1000, description="epochs of the last cycle, on all splits")
    batch: int = Field(64, ge=2, le=4096, description="paintings")
    patches: float = Field(0.5, gt=0, le=1, description="share of them that a batch shows")
    rate: fine_tuning.Rate = Field(5e-5, description="highest learning rate of the last blocks")
    scale: float = Field(24.0, gt=0, le=1000, description="of the cosines in the loss")
    margin: fine_tuning.Share = Field(0.15, description="by which the right artist's cosine is lessened")
    evenness: fine_tuning.Share = Field(0.5, description="an artist is drawn as often as paintings ** this")
    components: int = Field(1536, ge=2, le=8192, description="kept by PCA before the discriminants that begin it")
    shrinkage: float = Field(0.3, gt=0, le=1, description="of the within-artist covariance towards a sphere, there")
    dim: int = Field(512, ge=1, le=4096, description="numbers of the transformer's vector")
    head: HeadSettings = HeadSettings()


class TrainingSet(NamedTuple):
    """The training set: positions (n,) in the table, codes (n,) of their artists, and sampling weights (n,)."""

    places: Places
    artists: Places
    weights: npt.NDArray[np.float64]


class Transformer(NamedTuple):
    """A trained model, and a description in Markdown for its card."""

    model: Ensemble
    made: str


def train_transformer(
    table: pd.DataFrame,
    settings: TransformerSettings,
    weights: Path,
    work: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
    *,
    learn: Sequence[str],
    more: Sequence[str] = (),
) -> Transformer:
    """Train on a catalog's table.

    Its column `split` holds out SEEN for the curves; all results are kept below `work`. weights: the folder with the
    backbone's weights; learn: the splits to train on; more: those for a last cycle, in which the classifiers are
    fitted, too. An interrupted run resumes after its last epoch. Raises BadModel for missing weights, BadCatalog if
    there are too few artists, UnreadableImage for the first image that cannot be read, and BadSetting if the backbone
    cannot be divided, or `work` holds a run on other paintings.
    """
    backbone = load_frozen(settings.backbone, weights, SIZE)
    first, last = halves(settings.backbone, backbone, settings.frozen)
    table = table[table["split"] != ""].reset_index(drop=True)
    key = kept.key_of(weights_key(settings.backbone, weights, SIZE), settings.frozen)
    copies = _copies(first, key, table, settings, work, bar)
    samples = training_set_of(table, learn, settings.evenness)
    half = Half(last, _first_head(last, copies, samples, cast(TimmBackbone, backbone).widths, settings, fabric, bar))
    facts = {"begin": key, "table": labels_sha256(table), "settings": settings.model_dump()}

    def train(samples: TrainingSet, cycle: range, name: str) -> None:
        vectors = torch.from_numpy(vectors_of(half, copies[0], samples.places, fabric))
        proxies = fine_tuning.means_of(vectors, samples.artists)
        softmax = artist_softmax(proxies, settings.scale, settings.margin).to(fabric.device)
        objective = Blocks(settings, table, copies, samples, softmax, fabric, score)
        _train_cycle(
            half, objective, cycle, work / name, {**facts, "learnt": [samples.places, samples.artists]}, note, bar
        )

    train(samples, range(1, settings.epochs + 1), FOLDER)
    if more:
        samples = training_set_of(table, [*learn, *more], settings.evenness)
        after = settings.epochs + 1
        train(samples, range(after, after + settings.rest), f"{FOLDER}-all-splits")
    return _joined(backbone, half, copies, table, [*learn, *more], settings, fabric, bar)


def _copies(
    first: FirstBlocks, key: str, table: pd.DataFrame, settings: TransformerSettings, work: Path, bar: Bar
) -> list[Tokens]:
    found = []
    for copy in range(settings.copies):
        with bar(len(table), f"{settings.backbone}, copy {copy + 1} of {settings.copies}, paintings") as advance:
            found.append(tokens_of(first, key, table, copy, work / "tokens" / settings.backbone, SIZE, advance))
    return found


def training_set_of(table: pd.DataFrame, splits: Sequence[str], evenness: float) -> TrainingSet:
    """The paintings of these splits by artists with two or more there. Raises BadCatalog if there are too few."""
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object)
    keys[~table["split"].isin(splits).to_numpy()] = None
    counts = keys.value_counts()
    artists = sorted(counts.index[counts > 1])
    if len(artists) < 2:
        raise BadCatalog("training needs two artists or more with two paintings each")
    codes = pd.Index(artists).get_indexer_for(keys).astype(np.int64)  # -1: another artist, or none
    places = np.flatnonzero(codes >= 0)
    sources = table["source"].fillna("").astype(str) if "source" in table else pd.Series("", table.index)
    return TrainingSet(places, codes[places], even_weights(codes[places], sources.to_numpy(str)[places], evenness))


def even_weights(artists: Places, sources: npt.NDArray[np.str_], evenness: float) -> npt.NDArray[np.float64]:
    """(n,) sampling weights of paintings, with a sum of one; artists and sources: (n,).

    The weight of an artist is their number of paintings ** evenness, divided equally among the artist's sources; but no
    painting weighs more than MOST_OFTEN times as much as it would without sources.
    """
    frame = pd.DataFrame({"artist": artists, "source": sources})
    by_artist = frame.groupby("artist")["source"].transform("size").to_numpy(np.float64)
    origins = frame.groupby("artist")["source"].transform("nunique").to_numpy(np.float64)
    of_origin = frame.groupby(["artist", "source"])["source"].transform("size").to_numpy(np.float64)
    wanted = np.minimum(by_artist / origins / of_origin, MOST_OFTEN)
    total = pd.Series(wanted).groupby(frame["artist"]).transform("sum").to_numpy()
    weights = by_artist**evenness * wanted / total
    found: npt.NDArray[np.float64] = weights / weights.sum()
    return found


class Half(nn.Module):
    """The part that is trained. forward: tokens (b, t, c) and statistics (b, w) -> (b, d) unit vectors."""

    def __init__(self, last: LastBlocks, head: CentredHead) -> None:
        super().__init__()
        self.last, self.head = last, head

    def forward(self, tokens: Tensor, statistics: Tensor) -> Tensor:
        features = torch.cat([self.last(tokens), statistics], dim=1)
        return functional.normalize(self.head(features), dim=1)


class Blocks(Objective):
    """The objective: the artists of paintings, by the cosines to their proxies, from a part of the patches.

    Paintings are positions in the table, each with `copies` copies.
    """

    def __init__(
        self,
        settings: TransformerSettings,
        table: pd.DataFrame,
        copies: Sequence[Tokens],
        samples: TrainingSet,
        softmax: Any,
        fabric: Fabric,
        score: Score,
    ) -> None:
        self.settings, self.copies, self.samples = settings, copies, samples
        self.softmax, self.fabric, self.score = softmax, fabric, score
        self.steps = len(samples.places) // settings.batch
        self.validation = _validation(table, samples)

    def begin(self, network: nn.Module, number: int) -> None:
        """Evaluation mode: a transformer has no batch normalisation, and hidden patches regularise enough without
        dropout."""

    def batches(self, number: int) -> Iterator[Examples]:
        """As many samples as there are paintings, or a few less."""
        for step in range(self.steps):
            chance = np.random.default_rng((self.settings.seed, number, step))
            chosen = chance.choice(len(self.samples.places), self.settings.batch, replace=False, p=self.samples.weights)
            copy = self.copies[int(chance.integers(len(self.copies)))]
            shown = np.sort(chance.permutation(copy.patches)[: max(1, round(copy.patches * self.settings.patches))])
            yield Examples(copy.at(self.samples.places[chosen], shown), self.samples.artists[chosen])

    def loss(self, vectors: Tensor, examples: Examples, number: int) -> Tensor:
        found: Tensor = self.softmax(vectors, self.fabric.to_device(torch.from_numpy(examples.artists)))
        return found

    def validated(self, network: nn.Module, number: int) -> tuple[float, float]:
        """On the paintings as they are."""
        artists = self.validation.artists
        vectors = vectors_of(network, self.copies[0], self.validation.places, self.fabric)
        with torch.no_grad():
            loss = self.loss(self.fabric.to_device(torch.from_numpy(vectors)), Examples((), artists), number)
        return float(loss), self.score(vectors, artists)


def _validation(table: pd.DataFrame, samples: TrainingSet) -> TrainingSet:
    """The paintings of SEEN by training artists, with their codes."""
    keys = [artist_key(name) for name in table["artist"]]
    codes = {keys[place]: code for place, code in zip(samples.places.tolist(), samples.artists.tolist(), strict=True)}
    places = np.array(
        [place for place, split in enumerate(table["split"]) if split == SEEN and keys[place] in codes], np.int64
    )
    return TrainingSet(
        places, np.array([codes[keys[place]] for place in places.tolist()], np.int64), np.ones(len(places))
    )


def vectors_of(
    half: nn.Module,
    tokens: Tokens,
    places: Places,
    fabric: Fabric,
    patches: Places | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Vectors:
    """(n, d) of one copy of paintings; patches: which are shown, all if None."""
    found = []
    with torch.inference_mode(), fabric.autocast():
        for start in range(0, len(places), EMBEDDED_AT_ONCE):
            given = tokens.at(places[start : start + EMBEDDED_AT_ONCE], patches)
            found.append(half(*map(fabric.to_device, given)).float().cpu().numpy())
            advance(len(found[-1]))
    return np.concatenate(found)


def _first_head(
    last: LastBlocks,
    copies: Sequence[Tokens],
    samples: TrainingSet,
    widths: Sequence[int],
    settings: TransformerSettings,
    fabric: Fabric,
    bar: Bar,
) -> CentredHead:
    """The discriminants of the pretrained backbone's features of all copies of the training set."""
    found = []
    last.to(fabric.device)
    with (
        torch.inference_mode(),
        fabric.autocast(),
        bar(len(copies) * len(samples.places), f"{settings.backbone}, as it is, paintings") as advance,
    ):
        for copy in copies:
            for start in range(0, len(samples.places), EMBEDDED_AT_ONCE):
                tokens, statistics = copy.at(samples.places[start : start + EMBEDDED_AT_ONCE])
                found.append(torch.cat([last(fabric.to_device(tokens)).float().cpu(), statistics], dim=1))
                advance(len(tokens))
    features = torch.cat(found)
    means, is_rooted = features.mean(dim=0), [False] * len(widths)
    parts = centred_or_rooted(features, widths, is_rooted, means).numpy()
    centre, projection = discriminants(
        parts,
        np.tile(samples.artists, len(copies)),
        LinearSettings(components=settings.components, shrinkage=settings.shrinkage, dim=settings.dim),
    )
    head = CentredHead(widths, is_rooted, means, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    return head.to(fabric.device)


def _train_cycle(
    half: Half,
    objective: Blocks,
    cycle: range,
    folder: Path,
    facts: dict[str, Any],
    note: Callable[[str], None],
    bar: Bar,
) -> None:
    """Train for one cycle, in which rates rise and fall once.

    Checkpoints are below `folder`, and a run resumes after the last complete epoch.
    """
    settings, fabric, softmax = objective.settings, objective.fabric, objective.softmax
    origin = kept.origin(
        constants=kept.constants(sys.modules[__name__], fine_tuning, kept_tokens, augment),
        precision=precision_of(fabric),
        **facts,
    )
    projection = half.head.projection
    for weight in (*half.last.parameters(), projection):
        weight.requires_grad_(True)
    size = float(projection.detach().pow(2).mean().sqrt())
    groups: list[dict[str, Any]] = [
        {"params": list(half.last.parameters())},
        {"params": [projection], "weight_decay": 0.0},
        {"params": list(softmax.parameters()), "weight_decay": 0.0},
    ]
    run = Run(
        {"half": half, "loss": softmax},
        objective,
        torch.optim.AdamW(groups, weight_decay=settings.weight_decay),
        Cosine(
            [settings.rate, settings.head_rate * size, settings.head_rate],
            settings.warm_up,
            lambda passed: passed / len(cycle),
            before=cycle.start - 1,
        ),
        fabric,
        objective.score,
        longest_gradient=fine_tuning.LONGEST_GRADIENT,
    )
    if before := kept_in(folder, origin):
        run.resume(before)
    run_epochs(run, cycle, folder, origin, note, bar)


def _joined(
    backbone: nn.Module,
    half: Half,
    copies: Sequence[Tokens],
    table: pd.DataFrame,
    learn: Sequence[str],
    settings: TransformerSettings,
    fabric: Fabric,
    bar: Bar,
) -> Transformer:
    """The model with classifiers of the vectors, half of which are of re-digitised copies."""
    is_known = np.array([artist_key(name) is not None for name in table["artist"]])
    places = np.flatnonzero(table["split"].isin(learn).to_numpy() & is_known)
    with bar(len(places), "vectors of the training set, paintings") as advance:
        vectors = vectors_of(half, copies[0], places, fabric, advance=advance)
        if len(copies) > 1:  # every second one as another museum might have published it
            vectors[1::2] = vectors_of(half, copies[1], places[1::2], fabric)
    known = labels_of(table, places)
    head = head_of([vectors], None, known, [1.0], settings.head)
    member = Ensemble([backbone], half.head)
    return Transformer(Ensemble([member], head).cpu().eval(), _described(settings, known, learn))


def _described(settings: TransformerSettings, known: Labels, learn: Sequence[str]) -> str:
    artists, styles = (len({*labels} - {""}) for labels in (known.artists, known.styles))
    return f"""One vision transformer, `{settings.backbone}`. Its first {settings.frozen} blocks are unchanged; the
later ones were fine-tuned for {settings.epochs} epochs at a rate of {settings.rate:g} to tell artists apart (CosFace,
scale {settings.scale:g}, margin {settings.margin:g}), on {len(known.places):,} paintings
({", ".join(learn)}) in {settings.copies} copies, all but the first re-digitised; a batch showed {settings.patches:.0%}
of the patches. If an artist has works from several sources, each source was sampled equally often. Training started
from linear discriminants (shrinkage {settings.shrinkage:g}) of the pretrained features. The network is read at several
depths and gives {settings.dim} numbers.

Appended are the square roots of the probabilities of two classifiers (multinomial logistic regression): one of
{artists:,} artists, with weight {settings.head.of_artist:g}, the other of
{styles} styles, with weight {settings.head.of_style:g}. PCA reduces all of it
to {settings.head.dim} numbers."""
