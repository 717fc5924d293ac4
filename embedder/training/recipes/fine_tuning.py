"""A member of the tuned recipe: a pretrained backbone and its projection, fine-tuned to distinguish artists.

The projection is initialised with the discriminants of the frozen backbone's features, and every artist's proxy with
the mean of their vectors, so that no early step spoils what the backbone knows. Then all but the first blocks are
trained with a cosine softmax over the artists and a margin (CosFace; Wang et al., 2018), on crops of re-digitised
paintings (crops.py). Batch normalisation keeps its pretrained statistics for one epoch; after that it uses those of the
batches and updates its running statistics, in the first blocks too. The mean of the weights at the ends of both cycles
is kept: it is in a wider optimum than either (Izmailov et al., 2018; Wortsman et al., 2022), and costs nothing at
inference.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from ....errors import BadSetting
from ... import kept
from ...parallel import Bar
from ..data import augment, crops
from ..data.batches import Places
from ..loop import checkpoint
from ..loop.epochs import Examples, Objective, Run, Score, kept_in, run_epochs
from ..loop.losses import artist_softmax
from ..loop.schedules import Cosine
from ..loop.trainer import embed, precision_of
from ..networks.backbones import BACKBONES, PooledBackbone, load_backbone, weights_sha256
from ..networks.ensemble import Ensemble, LinearHead, balanced
from ..settings import Settings
from .linear import LinearSettings, discriminants
from .training_set import Data

LONGEST_GRADIENT = 5.0


def _known(backbone: str) -> str:
    if backbone not in BACKBONES:
        raise ValueError(f"{backbone} is none of {', '.join(BACKBONES)}")
    return backbone


Tunable = Annotated[str, AfterValidator(_known)]  # the name of a backbone that can be fine-tuned
Epochs = Annotated[int, Field(ge=0, le=1000)]
Frozen = Annotated[int, Field(ge=0, le=100)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=100)]


class MemberSettings(Settings):
    """A table [[members]]: the backbone, its epochs and learning rate, and the member's weight."""

    backbone: Tunable
    frozen: Frozen = Field(description="of its first parts keep their weights")
    epochs: int = Field(ge=1, le=1000, description="of the first cycle")
    again: Epochs = Field(2, description="epochs of the second cycle, on crops of which some are photographed whole")
    rest: Epochs = Field(2, description="epochs of the last cycle, on all splits")
    rate: Rate = Field(description="highest learning rate of the backbone")
    weight: Weight = Field(1.0, description="of the member's vector beside the others")

    def share_of_cycle(self, passed: float) -> float:
        """How much of the current cycle is done after so many epochs."""
        for epochs in (self.epochs, self.again):
            if passed < epochs:
                return passed / epochs
            passed -= epochs
        return passed / self.rest


class Stepping(Settings):
    """Settings of the optimizer."""

    warm_up: float = Field(
        0.1, ge=0, lt=1, description="of a cycle's steps, while rates rise; they fall with a cosine afterwards"
    )
    head_rate: Rate = Field(1e-3, description="highest learning rate of a head, relative to the size of its weights")
    weight_decay: Share = Field(0.02, description="of the backbone")
    seed: int = Field(0, ge=0, lt=2**32, description="of which paintings and crops are drawn")


class FineTuningSettings(Stepping):
    """The table [fine_tuning]: settings that all members share."""

    scale: float = Field(20.0, gt=0, le=1000, description="of the cosines in the loss")
    margin: Share = Field(0.1, description="by which the right artist's cosine is lessened")
    evenness: Share = Field(0.5, description="an artist is drawn as often as paintings ** this, times a constant")
    photographed: Share = Field(0.5, description="of the second cycle's crops are photographed whole")
    components: int = Field(1024, ge=2, le=8192, description="kept by PCA before the discriminants that begin it")
    dim: int = Field(256, ge=1, le=4096, description="numbers of a member's vector")


class MemberRecipe(NamedTuple):
    """How one member is trained: its own settings, and those of all members."""

    own: MemberSettings
    common: FineTuningSettings = FineTuningSettings()


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
    """Train a backbone and its projection; checkpoints are below `folder`, and a run resumes after its last complete
    epoch.

    data.validation is only used for the curves; nothing is chosen by it.
    """
    backbone = load_backbone(recipe.own.backbone, weights).to(fabric.device)
    widths = BACKBONES[recipe.own.backbone].widths

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, discriminants, paintings") as advance:
            head, proxies = _first_head(backbone, recipe, data, fabric, advance)
        return Ensemble([backbone], head), proxies

    def empty(dim: int) -> Ensemble:
        return Ensemble([backbone], LinearHead(widths, torch.zeros(sum(widths)), torch.zeros(sum(widths), dim)))

    return _trained_for(
        recipe,
        range(1, recipe.own.epochs + recipe.own.again + 1),
        weights_sha256(recipe.own.backbone, weights),
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
    """Train a member that has been measured on the artists of `data`, too; kept as by train_member.

    data.validation is part of the training set now, so the curves no longer show how good the member is.
    """
    member = member.to(fabric.device)

    def begin() -> tuple[Ensemble, Tensor]:
        with bar(len(data.training.places), f"{folder.name}, artists' means, paintings") as advance:
            return member, means_of(_of_crops(member, recipe, data, fabric, advance), data.training.artists)

    done = recipe.own.epochs + recipe.own.again
    return _trained_for(
        recipe,
        range(done + 1, done + recipe.own.rest + 1),
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
    """The mean of the weights at the beginning, or at the end of the first cycle, and after these epochs.

    begin: creates a member and proxies (a, d); empty: creates a member with d dimensions, into which saved weights are
    loaded.
    """
    origin = kept.origin(
        settings=[recipe.own.model_dump(exclude={"weight"}), recipe.common.model_dump()],
        constants=kept.constants(sys.modules[__name__], crops, augment),
        paintings=data.digest,
        labels=[data.training.places, data.training.artists],
        begin=began_with,
        precision=precision_of(fabric),
    )
    before = kept_in(folder, origin)
    if before:
        proxies = torch.zeros_like(before.tensors["loss.W"]).T
        member = empty(proxies.shape[1])
        first, rates = checkpoint.without_prefix("first.", before.tensors), before.facts["rates"]
    else:
        member, proxies = begin()
        first, rates = _copied(member), _rates(recipe, member)
    loss = artist_softmax(proxies, recipe.common.scale, recipe.common.margin).to(fabric.device)
    run = Run(
        {"member": member, "loss": loss},
        Member(recipe, data, loss, fabric, score),
        torch.optim.AdamW(_trained(member, loss, recipe.own), weight_decay=recipe.common.weight_decay),
        Cosine(rates, recipe.common.warm_up, recipe.own.share_of_cycle),
        fabric,
        score,
        longest_gradient=LONGEST_GRADIENT,
        beside=checkpoint.with_prefix("first.", first),
    )
    if before:
        run.resume(before)

    def keep_first_cycle(number: int) -> None:
        if number == recipe.own.epochs:
            run.beside = checkpoint.with_prefix("first.", _copied(member))

    run_epochs(run, numbers, folder, {**origin, "rates": rates}, note, bar, keep_first_cycle)
    first = checkpoint.without_prefix("first.", run.beside)
    member.cpu().load_state_dict(_mean(first, member.state_dict()))
    return member.eval()


def _copied(member: Ensemble) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in member.state_dict().items()}


class Member(Objective):
    """The objective: the artists of crops, by the cosines to their proxies, which the loss holds."""

    def __init__(self, recipe: MemberRecipe, data: Data, softmax: Any, fabric: Fabric, score: Score) -> None:
        self.recipe, self.data, self.softmax, self.fabric, self.score = recipe, data, softmax, fabric, score
        self.steps = math.ceil(len(data.training.places) / crops.BATCH)

    def begin(self, network: nn.Module, number: int) -> None:
        network.train(number > 1)  # batch normalisation

    def batches(self, number: int) -> Iterator[Examples]:
        """As many samples as there are paintings, weighted so that prolific artists do not dominate."""
        common, training = self.recipe.common, self.data.training
        weight = np.bincount(training.artists)[training.artists] ** (common.evenness - 1.0)
        chosen = np.random.default_rng((common.seed, number)).choice(len(weight), len(weight), p=weight / weight.sum())
        shown = crops.drawn(
            self.data.packed,
            training.places[chosen],
            common.seed,
            number,
            photographed=common.photographed if number > self.recipe.own.epochs else 0.0,
        )
        for start, x in zip(range(0, len(chosen), crops.BATCH), shown, strict=True):
            yield Examples((x,), training.artists[chosen[start : start + crops.BATCH]])

    def loss(self, vectors: Tensor, examples: Examples, number: int) -> Tensor:
        found: Tensor = self.softmax(vectors, self.fabric.to_device(torch.from_numpy(examples.artists)))
        return found

    def validated(self, network: nn.Module, number: int) -> tuple[float, float]:
        validation = self.data.validation
        vectors = embed(network, validation.inputs, validation.places, self.fabric)
        with torch.no_grad():
            given = self.fabric.to_device(torch.from_numpy(vectors))
            loss = self.loss(given, Examples((), validation.artists), number)
        return float(loss), self.score(vectors, validation.artists)


def _mean(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (one[name].cpu() + weight.cpu()) / 2 if weight.is_floating_point() else weight
        for name, weight in other.items()
    }


def _rates(recipe: MemberRecipe, member: Ensemble) -> list[float]:
    """The highest learning rates of backbone, projection and proxies; a projection's weights may have any magnitude."""
    of_head = recipe.common.head_rate
    return [recipe.own.rate, of_head * float(_projection(member).detach().pow(2).mean().sqrt()), of_head]


def _trained(member: Ensemble, loss: nn.Module, settings: MemberSettings) -> list[dict[str, Any]]:
    """The parameter groups of the optimizer; their rates are set before each step."""
    (backbone,), projection = member.members, _projection(member)
    trained = trainable(cast(PooledBackbone, backbone), settings.frozen)
    for weight in (*trained, projection):
        weight.requires_grad_(True)
    return [
        {"params": trained},
        {"params": [projection], "weight_decay": 0.0},
        {"params": list(loss.parameters()), "weight_decay": 0.0},
    ]


def trainable(backbone: PooledBackbone, frozen: int) -> list[nn.Parameter]:
    """The weights of all but a backbone's first parts. Raises BadSetting if none are left."""
    parts = backbone.parts()
    if frozen >= len(parts):
        raise BadSetting(f"frozen = {frozen} leaves nothing to train of a backbone with {len(parts)} parts")
    return [weight for part in parts[frozen:] for weight in part.parameters()]


def _projection(member: Ensemble) -> nn.Parameter:
    return member.head.get_parameter("projection")


def _first_head(
    backbone: PooledBackbone, recipe: MemberRecipe, data: Data, fabric: Fabric, advance: Callable[[int], None]
) -> tuple[LinearHead, Tensor]:
    """The discriminants of the frozen backbone's features of one crop of every painting, and the artists' mean vectors
    (a, d)."""
    widths = BACKBONES[recipe.own.backbone].widths
    features = _of_crops(lambda x: balanced(backbone(x).float(), widths), recipe, data, fabric, advance)
    common = recipe.common
    settings = LinearSettings(components=common.components, dim=common.dim)
    centre, projection = discriminants(features.numpy(), data.training.artists, settings)
    head = LinearHead(widths, torch.from_numpy(centre).float(), torch.from_numpy(projection).float())
    vectors = nn.functional.normalize((features - head.centre) @ head.projection, dim=1)
    return head, means_of(vectors, data.training.artists)


def _of_crops(
    network: Callable[[Tensor], Tensor],
    recipe: MemberRecipe,
    data: Data,
    fabric: Fabric,
    advance: Callable[[int], None],
) -> Tensor:
    """(n, f) features of one crop of every training painting."""
    found = []
    with torch.inference_mode(), fabric.autocast():
        for x in crops.drawn(data.packed, data.training.places, recipe.common.seed, 0):
            found.append(network(fabric.to_device(x)).float().cpu())
            advance(len(x))
    return torch.cat(found)


def means_of(vectors: Tensor, codes: Places) -> Tensor:
    """(a, d) at unit length: each artist's mean of vectors (n, d)."""
    sums = torch.zeros(int(codes.max()) + 1, vectors.shape[1])
    return nn.functional.normalize(sums.index_add_(0, torch.from_numpy(codes), vectors), dim=1)
