"""Import torchvision where its native library does not load.

torchvision from the package index is linked against CUDA; with a CPU build of torch its import fails with `operator
torchvision::nms does not exist`. Declaring the missing operators first lets the import succeed: models and transforms
then work, torchvision.io does not. Does nothing if the native library loads.
"""

import sys

import torch

_kept: list[torch.library.Library] = []  # the declarations live as long as this object


def import_torchvision() -> None:
    """Make `import torchvision` work from here on."""
    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _kept.append(library)
        import torchvision  # noqa: F401
