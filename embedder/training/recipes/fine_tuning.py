"""A member of the tuned recipe: a pretrained backbone and its projection, fine-tuned to tell artists apart.

It begins at the discriminants of the frozen backbone's features, and every artist's proxy at the mean of their vectors,
so that no early step of training spoils what the backbone knows. Then all but its first blocks are trained with a
cosine softmax over the artists and a margin (CosFace; Wang et al., 2018), on crops of re-digitised paintings
(crops.py). Batch normalisation keeps its pretrained statistics for an epoch; from then on it takes those of the batches
and learns those of paintings, in the first blocks too. The mean of the weights at the ends of both cycles is kept: it
lies in a wider optimum than either (Izmailov et al., 2018; Wortsman et al., 2022), at no cost to those who use it.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ... import kept
from ...parallel import Bar
from ..data import augment, crops
from ..data.batches import Places
from ..loop import checkpoint
from ..loop.curves import Epoch, draw_curves
from ..loop.losses import artist_softmax
from ..loop.trainer import Score, embed, precision_of
from ..networks.backbones import BACKBONES, PooledBackbone, load_backbone, weights_sha256
from ..networks.ensemble import Ensemble, LinearHead, balanced
from .linear import discriminants
from .training_set import Data

WARM_UP = 0.1  # of a cycle's steps, while the rates rise; they fall with a cosine afterwards
EVENNESS = 0.5  # an artist is drawn as often as paintings ** this, times a constant
SCALE, MARGIN = 20.0, 0.1  # of the loss
COMPONENTS, DIM = 1024, 256
HEAD_RATE = 1e-3  # relative to the size of the weights
WEIGHT_DECAY = 0.02
PHOTOGRAPHED = 0.5  # of the second cycle's crops are photographed whole
LONGEST_GRADIENT = 5.0


class MemberRecipe(NamedTuple):
    """Which backbone, how many of its first parts keep their weights, for how long, and how fast the others learn.

    epochs: of the first cycle; again: of the second, 0 for none; rest: of the last, on all splits.
    """

    backbone: str
    frozen: int
    epochs: int
    again: int
    rest: int
    rate: float
    seed: int = 0


def train_member(
    recipe: MemberRecipe,
    weights: Path,
    data: Data,
    folder: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> Ensemble:
    """A backbone and its projection, trained; kept below `folder` and taken up again after its last whole epoch.

    data.validation is looked at, for the curves, and nothing is chosen by it.
    """
    backbone = load_backbone(recipe.backbone, weights).to(fabric.device)
    widths = BACKBONES[recipe.backbone].widths

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, discriminants, paintings") as advance:
            head, proxies = _first_head(backbone, recipe, data, fabric, advance)
        return Ensemble([backbone], head), proxies

    def empty(dim: int) -> Ensemble:
        return Ensemble([backbone], LinearHead(widths, torch.zeros(sum(widths)), torch.zeros(sum(widths), dim)))

    return _trained_for(
        recipe,
        range(1, recipe.epochs + recipe.again + 1),
        weights_sha256(recipe.backbone, weights),
        begin,
        empty,
        data,
        folder,
        fabric,
        score,
        note,
        bar,
    )


def learn_rest(
    recipe: MemberRecipe,
    member: Ensemble,
    data: Data,
    folder: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> Ensemble:
    """A member that has been measured, taught the artists of `data` too; kept as by train_member.

    data.validation is among what is learnt now: curves show how fast, and no longer how well.
    """
    member = member.to(fabric.device)

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, artists' means, paintings") as advance:
            return member, _means(_of_crops(member, recipe, data, fabric, advance), data.training.artists)

    done = recipe.epochs + recipe.again
    return _trained_for(
        recipe,
        range(done + 1, done + recipe.rest + 1),
        member.state_dict(),
        begin,
        lambda dim: member,
        data,
        folder,
        fabric,
        score,
        note,
        bar,
    )


def _trained_for(
    recipe: MemberRecipe,
    numbers: range,
    began_with: Any,
    begin: Callable[[], tuple[Ensemble, Tensor]],
    empty: Callable[[int], Ensemble],
    data: Data,
    folder: Path,
    fabric: Fabric,
    score: Score,
    note: Callable[[str], None],
    bar: Bar,
) -> Ensemble:
    """The mean of the weights at the beginning, or the end of the first cycle, and after the epochs of these numbers.

    begin: makes a member and proxies (a, d); empty: a member for vectors of d numbers, for kept weights to be put into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "checkpoint.safetensors"
    origin = kept.origin(
        settings=[*recipe],
        constants=kept.constants(sys.modules[__name__], crops, augment),
        paintings=data.digest,
        labels=[data.training.places, data.training.artists],
        begin=began_with,
        precision=precision_of(fabric),
    )
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
    for number in numbers[len(history) :]:
        with bar(run.steps, f"{folder.name}, epoch {number}, batches") as advance:
            history.append(run.epoch(number, advance))
        if number == recipe.epochs:
            first = _copied(member)
        checkpoint.save(
            last,
            checkpoint.with_prefix("member.", member.state_dict())
            | checkpoint.with_prefix("first.", first)
            | checkpoint.with_prefix("loss.", loss.state_dict())
            | checkpoint.with_prefix("optimizer.", checkpoint.optimizer_tensors(optimizer)),
            {**origin, "rates": run.rates, "history": [asdict(epoch) for epoch in history]},
        )
        draw_curves(history, folder.name, folder / "curves.png")
        note(f"{folder.name}, {history[-1]}")
    member.cpu().load_state_dict(_mean(first, member.state_dict()))
    return member.eval()


def _copied(member: Ensemble) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in member.state_dict().items()}


class _Run:
    """What stays the same from epoch to epoch."""

    def __init__(
        self,
        recipe: MemberRecipe,
        rates: Sequence[float],
        data: Data,
        fabric: Fabric,
        member: Ensemble,
        loss: Any,
        optimizer: torch.optim.Optimizer,
        score: Score,
    ) -> None:
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
        return Epoch(
            number,
            float(np.mean(losses)),
            loss,
            float(np.nanmean(right)),
            accuracy,
            self.optimizer.param_groups[0]["lr"],
            len(self.data.training.places),
            seconds,
        )

    def _validated(self) -> tuple[float, float]:
        validation = self.data.validation
        vectors = embed(self.wrapped, validation.inputs, validation.places, self.fabric)
        with torch.no_grad():
            loss = self.loss(
                self.fabric.to_device(torch.from_numpy(vectors)),
                self.fabric.to_device(torch.from_numpy(validation.artists)),
            )
        return float(loss), self.score(vectors, validation.artists)


def take_step(fabric: Fabric, network: nn.Module, optimizer: Any, loss: Tensor) -> None:
    """A step of the optimizer down the loss; none where the gradient is not finite: it would spoil all weights."""
    optimizer.zero_grad()
    fabric.backward(loss)
    length = fabric.clip_gradients(network, optimizer, max_norm=LONGEST_GRADIENT, error_if_nonfinite=False)
    if length is None or torch.isfinite(length):
        optimizer.step()


def _mean(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (one[name].cpu() + weight.cpu()) / 2 if weight.is_floating_point() else weight
        for name, weight in other.items()
    }


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
    """The highest learning rates of backbone, projection and proxies; numbers of a projection may have any size."""
    return [recipe.rate, HEAD_RATE * float(_projection(member).detach().pow(2).mean().sqrt()), HEAD_RATE]


def _trained(member: Ensemble, loss: nn.Module, recipe: MemberRecipe) -> list[dict[str, Any]]:
    """What the optimizer is to change; its rates are set before each step."""
    (backbone,), projection = member.members, _projection(member)
    parts = cast(PooledBackbone, backbone).parts()
    trained = [weight for block in parts[recipe.frozen :] for weight in block.parameters()]
    for weight in (*trained, projection):
        weight.requires_grad_(True)
    return [
        {"params": trained},
        {"params": [projection], "weight_decay": 0.0},
        {"params": list(loss.parameters()), "weight_decay": 0.0},
    ]


def _projection(member: Ensemble) -> nn.Parameter:
    return member.head.get_parameter("projection")


def _first_head(
    backbone: PooledBackbone, recipe: MemberRecipe, data: Data, fabric: Fabric, advance: Callable[[int], None]
) -> tuple[LinearHead, Tensor]:
    """The discriminants of the frozen backbone on one crop of every painting, and the artists' mean vectors (a, d)."""
    widths = BACKBONES[recipe.backbone].widths
    features = _of_crops(lambda x: balanced(backbone(x).float(), widths), recipe, data, fabric, advance)
    centre, projection = discriminants(features.numpy(), data.training.artists, components=COMPONENTS, dim=DIM)
    head = LinearHead(widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    vectors = nn.functional.normalize((features - head.centre) @ head.projection, dim=1)
    return head, _means(vectors, data.training.artists)


def _of_crops(
    network: Callable[[Tensor], Tensor],
    recipe: MemberRecipe,
    data: Data,
    fabric: Fabric,
    advance: Callable[[int], None],
) -> Tensor:
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
    shown = crops.drawn(
        data.packed,
        data.training.places[chosen],
        recipe.seed,
        number,
        photographed=PHOTOGRAPHED if number > recipe.epochs else 0.0,
    )
    return zip(shown, torch.split(torch.from_numpy(artists[chosen]), crops.BATCH), strict=True)
