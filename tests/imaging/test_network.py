from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gateway.imaging import network as fitted
from gateway.imaging.network import Network, network
from tests.imaging.pictures import encode, photo_like, score

if TYPE_CHECKING:
    import numpy.typing as npt

FEATURES, MEMBERS, UNITS = 6, 3, 4
RNG = np.random.default_rng(2)


def arrays() -> dict[str, npt.NDArray[Any]]:
    shapes: dict[str, tuple[int, ...]] = {
        "means": (FEATURES,),
        "scales": (FEATURES,),
        "hidden_steps": (MEMBERS * UNITS,),
    }
    shapes |= {"hidden_bias": (MEMBERS, UNITS), "out": (MEMBERS, UNITS), "out_bias": (MEMBERS,)}
    floats = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {**floats, "hidden": RNG.integers(-127, 128, (FEATURES, MEMBERS * UNITS)).astype(np.int8)}


def test_the_opinion_is_the_mean_of_the_members_and_the_doubt_their_spread() -> None:
    given = arrays()
    features = RNG.normal(size=FEATURES).astype(np.float32)
    standard = np.clip((features - given["means"]) * given["scales"], -fitted.BOUND, fitted.BOUND)
    opinions = []
    for member in range(MEMBERS):
        part = slice(member * UNITS, (member + 1) * UNITS)
        weights = given["hidden"][:, part] * given["hidden_steps"][part]
        hidden = np.maximum(standard @ weights + given["hidden_bias"][member], 0)
        opinions.append(hidden @ given["out"][member] + given["out_bias"][member])
    found = Network.of(given).judge(features)
    assert found == pytest.approx((np.mean(opinions), np.std(opinions)), rel=1e-4)


def test_features_beyond_all_bounds_count_as_the_bound() -> None:
    net = Network.of(arrays())
    huge = np.full(FEATURES, 1e30, np.float32) * np.sign(net.scales)
    assert net.judge(huge) == net.judge(huge * np.float32(10))


def test_the_fitted_network_is_small_and_read_once() -> None:
    assert network() is network()
    assert (Path(fitted.__file__).parent / "network.npz").stat().st_size <= 256 * 1024


def test_a_report_is_confident_to_some_degree() -> None:
    assert 0.3 < score(encode(photo_like(400, 300), "PNG")).confidence < 1
