"""The fitted judgement: a few small networks over a picture's statistics. Must not know pixels or vendors.

Their mean is the opinion, their spread the doubt. The numbers are in network.npz, made by tools/fit_quality.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from gateway.imaging.views import Plane

BOUND = 3.5  # deviations from the mean of the photos it was fitted on; what lies beyond counts as this


class Opinion(NamedTuple):
    """`value` is the logit of the mean opinion score that people would give, `doubt` the members' spread (>= 0)."""

    value: float
    doubt: float


@dataclass(frozen=True, slots=True)
class Network:
    """The weights, float32: `means` and `scales` (features,), `hidden` (features, members * units), ...

    `hidden_bias` and `out` (members, units), `out_bias` (members,).
    """

    means: Plane
    scales: Plane
    hidden: Plane
    hidden_bias: Plane
    out: Plane
    out_bias: Plane

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Network:
        """Build the network from the arrays of the file: `hidden` as int8 in units of `hidden_steps`, the rest float32.

        Raises KeyError when one is missing.
        """
        hidden = np.ascontiguousarray(arrays["hidden"] * arrays["hidden_steps"], np.float32)
        return cls(arrays["means"], arrays["scales"], hidden, arrays["hidden_bias"], arrays["out"], arrays["out_bias"])

    def judge(self, statistics: Plane) -> Opinion:
        """Judge float32 (features,) of `statistics.statistics`."""
        standard = np.clip((statistics - self.means) * self.scales, -BOUND, BOUND)
        hidden = np.maximum((standard @ self.hidden).reshape(self.out.shape) + self.hidden_bias, 0)
        opinions = (hidden * self.out).sum(axis=1, dtype=np.float64) + self.out_bias
        return Opinion(float(opinions.mean()), float(opinions.std()))


@cache
def network() -> Network:
    """Return the fitted network, read once."""
    with files("gateway.imaging").joinpath("network.npz").open("rb") as file, np.load(file) as arrays:
        return Network.of(dict(arrays))
