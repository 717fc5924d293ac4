"""The tuned recipe: pretrained trunks fine-tuned to tell all training artists apart, side by side with the linear one.

A member begins where the linear recipe ends: its projection is the discriminants of the frozen trunk's features, and
every artist's proxy the mean of their vectors, so that no early step of training spoils what the trunk knows. Then all
but its first blocks are trained with a cosine softmax over the artists and a margin (CosFace; Wang et al., 2018), on
crops of re-digitised paintings (crops.py). Batch normalisation keeps its pretrained statistics for an epoch; from then
on it takes those of the batches and learns those of paintings, in the first blocks too.

A second, shorter cycle of rates follows, on crops of which half are as museums photograph them, with what is around a
canvas. The mean of the weights at the ends of both cycles is kept: it lies in a wider optimum than either (Izmailov
et al., 2018; Wortsman et al., 2022), at no cost to those who use it. MobileNetV2's was better than both.

When all has been measured, a last short cycle teaches the members the artists of the other splits too, and
again the mean of the weights before and after it is kept. So MobileNetV2 tells those artists apart a little better, and
others no worse. The linear recipe's discriminants are found anew, among the artists of all splits.

The members' vectors are joined, and what classifiers make of them is added: which artist, by one classifier for each
member, and which style (posteriors.py).
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ...errors import BadCatalog
from ..catalog import artist_key
from ..images import Pixels
from ..parallel import Bar
from . import augment, checkpoint, crops, kept
from .augment import photographed_whole, redigitised
from .batches import Places
from .curves import Epoch, draw_curves
from .ensemble import Ensemble, LinearHead, balanced
from .linear import SIZE, describe_linear, discriminants, train_linear
from .losses import artist_softmax
from .networks import TRUNKS, PooledTrunk, load_trunk, weights_sha256
from .packed import Packed, pack
from .posteriors import Question, WithPosteriors, principal, with_posteriors
from .splits import SEEN, TRAIN, labels_sha256
from .trainer import Labelled, Score, embed, precision_of

FOLDER = "tuned"
WARM_UP = 0.1  # of a cycle's steps, while the rates rise; they fall with a cosine afterwards
EVENNESS = 0.5  # an artist is drawn as often as paintings ** this, times a constant
SCALE, MARGIN = 20.0, 0.1  # of the loss
COMPONENTS, DIM = 1024, 256
JOINED_DIM = 512  # of the members' vectors together, by which styles are told
HEAD_RATE = 1e-3  # relative to the size of the weights
WEIGHT_DECAY = 0.02
PHOTOGRAPHED = 0.5  # of the second cycle's crops are photographed whole
SHOWN = 256  # paintings between two words of progress
LONGEST_GRADIENT = 5.0
OF_ARTIST, OF_STYLE = 0.8, 0.3  # weights of the posteriors, beside the joined vector of unit length
SMALLEST_STYLE = 20  # paintings


class MemberRecipe(NamedTuple):
    """Which trunk, how many of its first parts keep their weights, for how long, and how fast the others learn.

    epochs: of the first cycle; again: of the second, 0 for none; rest: of the last, on all splits.
    """

    trunk: str
    frozen: int
    epochs: int
    again: int
    rest: int
    rate: float
    seed: int = 0


MEMBERS = (MemberRecipe("mobilenet_v2", frozen=7, epochs=8, again=5, rest=3, rate=3e-4),
           MemberRecipe("xception", frozen=5, epochs=7, again=3, rest=2, rate=2e-4),
           MemberRecipe("dinov2_vits14", frozen=4, epochs=8, again=2, rest=2, rate=1e-4))
REST = "all-splits"
SHIFTED = 1000  # training paintings, about
WHOLE = "whole"
LINEAR = 1.0  # weight of the linear recipe's vector
WEIGHTS = (0.5, 1.0, 0.75)  # of the members' vectors


Change = Callable[[Pixels, int], Pixels]  # of a painting's square, with its place in what is packed


class Data(NamedTuple):
    """Paintings to train on and to look at, with artists as codes 0, 1, ... of the training artists.

    digest: of the paintings' files, artists and splits.
    """

    packed: Packed
    training: Labelled
    validation: Labelled
    digest: str


class Tuned(NamedTuple):
    """A trained model, how it was made as Markdown for its card, and its vectors (n, d) of what it has learnt.

    data: all that its members were trained on; places: (n,) of the paintings with vectors in what is packed there, half
    of them seen re-digitised.
    """

    model: Ensemble
    made: str
    data: Data
    places: Places
    vectors: npt.NDArray[np.float32]


class Labels(NamedTuple):
    """What classifiers learn. places: (n,) in what is packed; artists, styles: (n,), "" where nothing is learnt."""

    places: Places
    artists: npt.NDArray[Any]
    styles: npt.NDArray[Any]


def train_tuned(table: pd.DataFrame, weights: Path, work: Path, fabric: Fabric, score: Score,
                note: Callable[[str], None], bar: Bar, *, learn: Sequence[str] = (TRAIN,)) -> Tuned:
    """Train on a catalog's table.

    The table's column `split` keeps SEEN apart to look at; all is kept below `work`. weights: the trunks' folder;
    learn: the splits whose artists and styles are learnt, TRAIN first, of which features and members are kept; the
    members learn the others in a last cycle. A run that was interrupted goes on from its last epoch. Raises BadModel
    for missing weights, BadCatalog where there are too few artists, and BadSetting where `work` holds a run on other
    paintings.
    """
    for recipe in MEMBERS:
        load_trunk(recipe.trunk, weights)  # what is missing is told now, not after hours
    data = data_of(table, work, note, bar)
    learnt = pd.concat([table[(table["split"] == split) & data.packed.is_read] for split in learn], ignore_index=True)
    linear = train_linear(learnt, weights, work, note, bar)
    named = {"linear": linear}
    more = data_of(table, work, note, bar, learn) if {*learn} != {TRAIN} else None
    for recipe in MEMBERS:
        name = recipe.trunk
        member = train_member(recipe, weights, data, work / FOLDER / name, fabric, score, note, bar)
        if more:
            name = f"{recipe.trunk}-{REST}"
            member = learn_rest(recipe, member, more, work / FOLDER / name, fabric, score, note, bar)
        named[name] = member

    def vectors_of(what: str, places: Places, change: Change) -> list[npt.NDArray[np.float32]]:
        return [vectors(member, work / FOLDER / name, what, places, change, data, fabric, bar)
                for name, member in named.items()]

    places = [places_of(table, data.packed, split) for split in learn]
    parts = [vectors_of(split, here, half_redigitised) for split, here in zip(learn, places, strict=True)]
    every = np.concatenate(places)
    seen = [np.concatenate(part) for part in zip(*parts, strict=True)]  # of each member
    some = shifted(len(every))
    whole = vectors_of(WHOLE, every[some], half_redigitised_whole)
    known = labels_of(table, every)
    shifts = [moved - part[some] for moved, part in zip(whole, seen, strict=True)]
    head = head_of(seen, shifts, known, (LINEAR, *WEIGHTS), OF_ARTIST, OF_STYLE)
    made = _described(data, more, describe_linear(len(learnt), learnt["artist"].nunique()), known, learn)
    with torch.inference_mode():
        given = nn.functional.normalize(head(torch.from_numpy(np.hstack(seen))), dim=1).numpy()
    return Tuned(Ensemble([*named.values()], head).cpu().eval(), made, data, every, given)


def head_of(parts: Sequence[npt.NDArray[np.float32]], shifts: Sequence[npt.NDArray[np.float32]] | None, known: Labels,
            weights: Sequence[float], of_artist: float, of_style: float) -> WithPosteriors:
    """The head of members, learnt from their vectors of labelled paintings, each (n, d).

    shifts: (m, d) by which another light and a canvas' surroundings move those of each member; weights: of the
    members; of_artist, of_style: of what classifiers say, 0 for nothing.
    """
    scales = [np.full(part.shape[1], weight) for part, weight in zip(parts, weights, strict=True)]
    joined = principal(np.hstack(parts), np.hstack(scales), JOINED_DIM, np.hstack(shifts) if shifts else None)
    members = [principal(part, scale, len(scale), shifts[number] if shifts else None)
               for number, (part, scale) in enumerate(zip(parts, scales, strict=True))]
    questions = [Question(known.artists, of_artist, members), Question(known.styles, of_style, [joined])]
    return with_posteriors(joined, np.hstack(parts), [each for each in questions if each.weight], DIM)


def _described(data: Data, more: Data | None, linear: str, known: Labels, learn: Sequence[str]) -> str:
    members = "\n".join(
        f"- `{m.trunk}`, all but the first {m.frozen} of its parts, {m.epochs} and {m.again}"
        + (f", then {m.rest} " if more else " ") + f"epochs at a rate of "
        f"{m.rate:g}, weight {weight:g}; pretrained under {TRUNKS[m.trunk].licence}"
        for m, weight in zip(MEMBERS, WEIGHTS, strict=True))
    rest = f""" The members were then
taught all splits in a last cycle, {_counted(more)}; again the mean
of the weights before and after it was kept.""" if more else ""
    artists, styles = (len({*labels} - {""}) for labels in (known.artists, known.styles))
    learnt = int(((known.artists != "") | (known.styles != "")).sum())
    said = f"which of {artists:,}\nartists, with weight {OF_ARTIST:g}" + (
        f", and which of {styles} styles, with weight {OF_STYLE:g}" if styles > 1 else "")
    return f"""Pretrained trunks fine-tuned to tell artists apart on {_counted(data)} (CosFace,
scale {SCALE:g}, margin {MARGIN:g}; crops of {crops.CROP} px of paintings re-digitised anew each time), in two cycles:
in the second, {PHOTOGRAPHED:.0%} of the crops were in another light, with a strip of background around them, as in
museums' photographs. Each member has the mean of both cycles' weights, is read at several depths and brought to
{DIM} numbers.{rest}

{members}

Beside them, with weight {LINEAR:g}, the linear recipe's model:

{linear}

The vectors are concatenated, each times its weight, made shorter along the ways in which another light and a strip of
background around the canvas shift them, and brought to {JOINED_DIM} numbers by PCA. Beside them stands what
classifiers say (multinomial logistic regression), as square roots of probabilities, those of artists the mean of one
classifier for each member: {said}; learnt on
{learnt:,} paintings ({", ".join(learn)}). All is brought to {DIM} numbers by PCA."""


def _counted(data: Data) -> str:
    return f"{len(data.training.places):,} paintings by {int(data.training.artists.max()) + 1:,} artists"


def vectors(member: Ensemble, folder: Path, what: str, places: Places, change: Change, data: Data, fabric: Fabric,
            bar: Bar) -> npt.NDArray[np.float32]:
    """(n, d) of one member for what is at these places, made once and kept in its folder under the name `what`."""
    def made() -> npt.NDArray[np.float32]:
        parts, inputs = [], _Changed(data.packed, change)
        with bar(len(places), f"{folder.name}, vectors of {what}, paintings") as advance, fabric.autocast():
            moved = member.to(fabric.device)
            for start in range(0, len(places), SHOWN):
                parts.append(embed(moved, inputs, places[start : start + SHOWN], fabric))
                advance(len(parts[-1]))
        return np.concatenate(parts)

    key = kept.key_of(data.digest, places, member.state_dict(), getattr(change, "__name__", ""), precision_of(fabric),
                      kept.libraries(), kept.constants(augment))
    return kept.array(folder, what, key, made)


class _Changed:
    """Inputs: packed paintings, each changed."""

    def __init__(self, packed: Packed, change: Change) -> None:
        self.packed, self.change = packed, change

    def __getitem__(self, places: Places, /) -> Tensor:
        squares = [self.change(square, place)
                   for place, square in zip(places.tolist(), self.packed.squares(places), strict=True)]
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def half_redigitised(square: Pixels, place: int) -> Pixels:
    """At every odd place as another museum might have published it: so are half of those that will be asked about."""
    return redigitised(square, SIZE, random.Random(f"joined {place}")) if place % 2 else square


def half_redigitised_whole(square: Pixels, place: int) -> Pixels:
    """The same, photographed with what is around the canvas."""
    return photographed_whole(half_redigitised(square, place), random.Random(f"whole {place}"))


def shifted(count: int) -> Places:
    """Which of so many training paintings are looked at whole, too, to learn how that shifts their vectors."""
    return np.arange(0, count, max(1, count // SHIFTED))


def places_of(table: pd.DataFrame, packed: Packed, split: str) -> Places:
    """Of the paintings of a split that can be read and have an artist."""
    is_known = np.array([artist_key(name) is not None for name in table["artist"]])
    return np.flatnonzero(packed.is_read & is_known & (table["split"] == split).to_numpy(bool))


def labels_of(table: pd.DataFrame, places: Places) -> Labels:
    """What is learnt of these places: no artist with one painting, no style with a few."""
    rows = table.iloc[places]
    artists = pd.Series([artist_key(name) for name in rows["artist"]], dtype=object)
    styles = (rows["style"] if "style" in rows else pd.Series("", rows.index)).fillna("").astype(object).reset_index(
        drop=True)
    for labels, fewest in ((artists, 2), (styles, SMALLEST_STYLE)):
        labels[labels.map(labels.value_counts()) < fewest] = ""
    return Labels(places, artists.to_numpy(str), styles.to_numpy(str))


def train_member(recipe: MemberRecipe, weights: Path, data: Data, folder: Path, fabric: Fabric, score: Score,
                 note: Callable[[str], None], bar: Bar) -> Ensemble:
    """A trunk and its projection, trained; kept below `folder` and taken up again after its last whole epoch.

    data.validation is looked at, for the curves, and nothing is chosen by it.
    """
    trunk = load_trunk(recipe.trunk, weights).to(fabric.device)
    widths = TRUNKS[recipe.trunk].widths

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, discriminants, paintings") as advance:
            head, proxies = _first_head(trunk, recipe, data, fabric, advance)
        return Ensemble([trunk], head), proxies

    def empty(dim: int) -> Ensemble:
        return Ensemble([trunk], LinearHead(widths, torch.zeros(sum(widths)), torch.zeros(sum(widths), dim)))

    return _taught(recipe, range(1, recipe.epochs + recipe.again + 1), weights_sha256(recipe.trunk, weights), begin,
                   empty, data, folder, fabric, score, note, bar)


def learn_rest(recipe: MemberRecipe, member: Ensemble, data: Data, folder: Path, fabric: Fabric, score: Score,
               note: Callable[[str], None], bar: Bar) -> Ensemble:
    """A member that has been measured, taught the artists of `data` too; kept as by train_member.

    data.validation is among what is learnt now: curves show how fast, and no longer how well.
    """
    member = member.to(fabric.device)

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, artists' means, paintings") as advance:
            return member, _means(_of_crops(member, recipe, data, fabric, advance), data.training.artists)

    done = recipe.epochs + recipe.again
    return _taught(recipe, range(done + 1, done + recipe.rest + 1), member.state_dict(), begin, lambda dim: member,
                   data, folder, fabric, score, note, bar)


def _taught(recipe: MemberRecipe, numbers: range, began_with: Any, begin: Callable[[], tuple[Ensemble, Tensor]],
            empty: Callable[[int], Ensemble], data: Data, folder: Path, fabric: Fabric, score: Score,
            note: Callable[[str], None], bar: Bar) -> Ensemble:
    """The mean of the weights at the beginning, or the end of the first cycle, and after the epochs of these numbers.

    begin: makes a member and proxies (a, d); empty: a member for vectors of d numbers, for kept weights to be put into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "checkpoint.safetensors"
    origin = kept.origin(settings=[*recipe], constants=kept.constants(sys.modules[__name__], crops, augment),
                         paintings=data.digest, labels=[data.training.places, data.training.artists],
                         begin=began_with, precision=precision_of(fabric))
    if last.exists():
        tensors, facts = checkpoint.load(last)
        kept.check_origin(last, facts, origin)
        proxies = torch.zeros_like(tensors["loss.W"]).T
        member = empty(proxies.shape[1])
    else:
        member, proxies = begin()
        tensors, facts = {}, {"history": [], "rates": _rates(recipe, member)}
    loss = artist_softmax(proxies, SCALE, MARGIN).to(fabric.device)
    optimizer = torch.optim.AdamW(_trained(member, loss, recipe), weight_decay=WEIGHT_DECAY)
    run = _Run(recipe, facts["rates"], data, fabric, member, loss, optimizer, score)
    first = _copied(member)
    if tensors:
        first = checkpoint.without_prefix("first.", tensors)
        member.load_state_dict(checkpoint.without_prefix("member.", tensors))
        loss.load_state_dict(checkpoint.without_prefix("loss.", tensors))
        checkpoint.restore_optimizer(optimizer, checkpoint.without_prefix("optimizer.", tensors))
    history = [Epoch(**epoch) for epoch in facts["history"]]
    for number in numbers[len(history):]:
        with bar(run.steps, f"{folder.name}, epoch {number}, batches") as advance:
            history.append(run.epoch(number, advance))
        if number == recipe.epochs:
            first = _copied(member)
        checkpoint.save(last, checkpoint.with_prefix("member.", member.state_dict())
                        | checkpoint.with_prefix("first.", first)
                        | checkpoint.with_prefix("loss.", loss.state_dict())
                        | checkpoint.with_prefix("optimizer.", checkpoint.optimizer_tensors(optimizer)),
                        {**origin, "rates": run.rates, "history": [asdict(epoch) for epoch in history]})
        draw_curves(history, folder.name, folder / "curves.png")
        note(f"{folder.name}, {history[-1]}")
    member.cpu().load_state_dict(_mean(first, member.state_dict()))
    return member.eval()


def _copied(member: Ensemble) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in member.state_dict().items()}


class _Run:
    """What stays the same from epoch to epoch."""

    def __init__(self, recipe: MemberRecipe, rates: Sequence[float], data: Data, fabric: Fabric, member: Ensemble,
                 loss: Any, optimizer: torch.optim.Optimizer, score: Score) -> None:
        self.recipe, self.data, self.fabric, self.member, self.score = recipe, data, fabric, member, score
        self.loss, self.rates = loss, rates
        self.steps = math.ceil(len(data.training.places) / crops.BATCH)
        self.wrapped, self.optimizer = fabric.setup(member, optimizer)

    def epoch(self, number: int, advance: Callable[[int], None]) -> Epoch:
        """Train for as many paintings as there are, then look at the validation paintings."""
        self.wrapped.train(number > 1)  # batch normalisation
        started, losses, right = time.monotonic(), [], []
        for step, (x, codes) in enumerate(_drawn(self.data, self.recipe, number)):
            now = pace(_share_of_cycle(number - 1 + step / self.steps, self.recipe))
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * now
            vectors = self.wrapped(self.fabric.to_device(x)).float()  # (b, d)
            loss = self.loss(vectors, self.fabric.to_device(codes))
            take_step(self.fabric, self.member, self.optimizer, loss)
            losses.append(float(loss.detach()))
            right.append(self.score(vectors.detach().cpu().numpy(), codes.numpy()))
            advance(1)
        seconds = time.monotonic() - started
        loss, accuracy = self._validated()
        return Epoch(number, float(np.mean(losses)), loss, float(np.nanmean(right)), accuracy,
                     self.optimizer.param_groups[0]["lr"], len(self.data.training.places), seconds)

    def _validated(self) -> tuple[float, float]:
        validation = self.data.validation
        vectors = embed(self.wrapped, validation.inputs, validation.places, self.fabric)
        with torch.no_grad():
            loss = self.loss(self.fabric.to_device(torch.from_numpy(vectors)),
                             self.fabric.to_device(torch.from_numpy(validation.artists)))
        return float(loss), self.score(vectors, validation.artists)


def take_step(fabric: Fabric, network: nn.Module, optimizer: Any, loss: Tensor) -> None:
    """A step of the optimizer down the loss; none where the gradient is not finite: it would spoil all weights."""
    optimizer.zero_grad()
    fabric.backward(loss)
    length = fabric.clip_gradients(network, optimizer, max_norm=LONGEST_GRADIENT, error_if_nonfinite=False)
    if length is None or torch.isfinite(length):
        optimizer.step()


def data_of(table: pd.DataFrame, work: Path, note: Callable[[str], None], bar: Bar, learn: Sequence[str] = (TRAIN,)
            ) -> Data:
    """What members learn: the paintings of these splits by artists with two or more there."""
    with bar(len(table), "packing paintings") as advance:
        packed = pack(table, work, SIZE, advance)
    if skipped := int((~packed.is_read).sum()):
        note(f"{skipped:,} paintings cannot be read; listed in {work / f'packed-{SIZE}' / 'skipped.csv'}")
    keys = pd.Series([artist_key(name) for name in table["artist"]], dtype=object)
    split = table["split"].to_numpy(str)
    is_training = packed.is_read & np.isin(split, [*learn])
    counts = keys[is_training].value_counts()
    artists = sorted(counts.index[counts > 1])
    if len(artists) < 2:
        raise BadCatalog("training needs two artists or more with two paintings each")
    codes = pd.Index(artists).get_indexer_for(keys).astype(np.int64)  # -1: another one, or nobody

    def labelled(chosen: npt.NDArray[np.bool_]) -> Labelled:
        places = np.flatnonzero(chosen & (codes >= 0))
        return Labelled(packed, places, codes[places])

    validation = labelled(packed.is_read & (split == SEEN))
    if not len(validation.places):
        raise BadCatalog(f"no painting in {SEEN} is by an artist with two paintings in {TRAIN}; there is nothing to "
                         f"validate on")
    return Data(packed, labelled(is_training), validation, kept.key_of(packed.digest, labels_sha256(table)))


def _mean(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: (one[name].cpu() + weight.cpu()) / 2 if weight.is_floating_point() else weight
            for name, weight in other.items()}


def _share_of_cycle(passed: float, recipe: MemberRecipe) -> float:
    """How much of the cycle that it is in is done after so many epochs."""
    for epochs in (recipe.epochs, recipe.again):
        if passed < epochs:
            return passed / epochs
        passed -= epochs
    return passed / recipe.rest


def pace(share: float) -> float:
    """Of the highest rate, after this share of a cycle's steps."""
    return share / WARM_UP if share < WARM_UP else 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def _rates(recipe: MemberRecipe, member: Ensemble) -> list[float]:
    """The highest learning rates of trunk, projection and proxies; numbers of a projection may have any size."""
    return [recipe.rate, HEAD_RATE * float(_projection(member).detach().pow(2).mean().sqrt()), HEAD_RATE]


def _trained(member: Ensemble, loss: nn.Module, recipe: MemberRecipe) -> list[dict[str, Any]]:
    """What the optimizer is to change; its rates are set before each step."""
    (trunk,), projection = member.members, _projection(member)
    parts = cast(PooledTrunk, trunk).parts()
    trained = [weight for block in parts[recipe.frozen:] for weight in block.parameters()]
    for weight in (*trained, projection):
        weight.requires_grad_(True)
    return [{"params": trained}, {"params": [projection], "weight_decay": 0.0},
            {"params": list(loss.parameters()), "weight_decay": 0.0}]


def _projection(member: Ensemble) -> nn.Parameter:
    return member.head.get_parameter("projection")


def _first_head(trunk: PooledTrunk, recipe: MemberRecipe, data: Data, fabric: Fabric,
                advance: Callable[[int], None]) -> tuple[LinearHead, Tensor]:
    """The discriminants of the frozen trunk on one crop of every painting, and the artists' mean vectors (a, d)."""
    widths = TRUNKS[recipe.trunk].widths
    features = _of_crops(lambda x: balanced(trunk(x).float(), widths), recipe, data, fabric, advance)
    centre, projection = discriminants(features.numpy(), data.training.artists, components=COMPONENTS, dim=DIM)
    head = LinearHead(widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    vectors = nn.functional.normalize((features - head.centre) @ head.projection, dim=1)
    return head, _means(vectors, data.training.artists)


def _of_crops(network: Callable[[Tensor], Tensor], recipe: MemberRecipe, data: Data, fabric: Fabric,
              advance: Callable[[int], None]) -> Tensor:
    """(n, f) of one crop of every training painting."""
    found = []
    with torch.inference_mode(), fabric.autocast():
        for x in crops.drawn(data.packed, data.training.places, recipe.seed, 0):
            found.append(network(fabric.to_device(x)).float().cpu())
            advance(len(x))
    return torch.cat(found)


def _means(vectors: Tensor, codes: Places) -> Tensor:
    """(a, d) of unit length: each artist's mean of vectors (n, d)."""
    sums = torch.zeros(int(codes.max()) + 1, vectors.shape[1])
    return nn.functional.normalize(sums.index_add_(0, torch.from_numpy(codes), vectors), dim=1)


def _drawn(data: Data, recipe: MemberRecipe, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch: paintings drawn so that prolific artists do not outweigh the others by too much."""
    artists = data.training.artists
    weight = np.bincount(artists)[artists] ** (EVENNESS - 1.0)
    chosen = np.random.default_rng((recipe.seed, number)).choice(len(weight), len(weight), p=weight / weight.sum())
    shown = crops.drawn(data.packed, data.training.places[chosen], recipe.seed, number,
                        photographed=PHOTOGRAPHED if number > recipe.epochs else 0.0)
    return zip(shown, torch.split(torch.from_numpy(artists[chosen]), crops.BATCH), strict=True)
