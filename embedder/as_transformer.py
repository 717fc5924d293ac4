"""The interface that scikit-learn expects of a transformer, for one that has nothing to fit.

In a pipeline such as `make_pipeline(Embedder.load(), LogisticRegression())`, fitting reads no image, and a clone is the
same object, so that a model is loaded once. scikit-learn itself is imported only if it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import BadSetting

if TYPE_CHECKING:
    from sklearn.utils import Tags


class AsTransformer:
    """A transformer without parameters and without state; its subclass has `transform`, `name` and `dim`."""

    name: str
    dim: int

    def fit(self, images: Any = None, y: Any = None) -> Any:
        """Does nothing: there is nothing to fit."""
        return self

    def fit_transform(self, images: Any, y: Any = None) -> npt.NDArray[np.float32]:
        """(n, d): the same as `transform`."""
        found: npt.NDArray[np.float32] = self.transform(images)  # type: ignore[attr-defined]
        return found

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """An empty dictionary: there are no parameters."""
        return {}

    def set_params(self, **parameters: Any) -> Any:
        """Raises BadSetting for any parameter: `Embedder.load` takes the settings of a model."""
        if parameters:
            raise BadSetting(
                f"an embedder has no parameter {next(iter(parameters))!r} to set; open another one with Embedder.load"
            )
        return self

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """(d,) names of the vectors' dimensions."""
        return np.array([f"{self.name}{number}" for number in range(self.dim)], object)

    def __sklearn_clone__(self) -> Any:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            no_validation=True,
            requires_fit=False,
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )
