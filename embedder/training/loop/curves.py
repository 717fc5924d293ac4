"""What was measured in each epoch of training, and a plot of it, redrawn during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....files import replacing
from ...neutral import neutral_import

with neutral_import("matplotlib"):
    import matplotlib as mpl

TRAINING, VALIDATION = "#b45309", "#1d4ed8"  # distinguishable for people with red-green colour blindness


@dataclass(frozen=True)
class Epoch:
    """What was measured in one epoch. Training accuracy is over the triplets of each batch, as they were shown."""

    epoch: int
    training_loss: float
    validation_loss: float
    training_accuracy: float
    validation_accuracy: float
    learning_rate: float
    images: int
    seconds: float  # of training alone

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: loss {self.training_loss:.4f}, validation {self.validation_loss:.4f}; triplets "
            f"right {self.training_accuracy:.3f}, validation {self.validation_accuracy:.3f}; "
            f"{self.images / max(self.seconds, 1e-9):.0f} images/s"
        )


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """The epoch with the highest validation accuracy, the first of equals."""
    return max(history, key=lambda epoch: epoch.validation_accuracy)


def draw_curves(epochs: Sequence[Epoch], title: str, target: Path) -> None:
    """PNG of both losses and both triplet accuracies, the best epoch marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 3.2), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        numbers = [epoch.epoch for epoch in epochs]
        for axes, what in ((left, "loss"), (right, "accuracy")):
            for kind, colour in (("training", TRAINING), ("validation", VALIDATION)):
                axes.plot(
                    numbers,
                    [getattr(epoch, f"{kind}_{what}") for epoch in epochs],
                    color=colour,
                    marker="o",
                    markersize=3,
                    label=kind,
                )
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        best = best_epoch(epochs)
        right.axvline(best.epoch, color="#9ca3af", linewidth=0.8, zorder=0)
        right.annotate(
            f"best {best.validation_accuracy:.3f}",
            (best.epoch, best.validation_accuracy),
            color=VALIDATION,
            xytext=(4, -14),
            textcoords="offset points",
        )
        left.set_title("loss")
        right.set_title("triplet accuracy")
        left.set_ylim(bottom=0)
        left.legend(frameon=False)
        figure.suptitle(title)
        with replacing(target) as aside:
            figure.savefig(aside, format="png")
