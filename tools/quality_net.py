"""The network of gateway/imaging/network.py as torch sees it while it is fitted, and its way into the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

MEMBERS = 5
UNITS = 64


class QualityNet(nn.Module):
    """Standardised statistics (N, features) to logits (N, MEMBERS); the members share nothing."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(MEMBERS, features, UNITS) / np.sqrt(features))
        self.hidden_bias = nn.Parameter(torch.zeros(MEMBERS, 1, UNITS))
        self.out = nn.Parameter(torch.randn(MEMBERS, 1, UNITS) / np.sqrt(UNITS))
        self.out_bias = nn.Parameter(torch.zeros(MEMBERS, 1))
        self.drop_features = nn.Dropout(0.03)
        self.drop_units = nn.Dropout(0.2)

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """Return the logits; while fitting, every member misses other features and units."""
        each = self.drop_features(statistics.expand(MEMBERS, *statistics.shape))
        hidden = self.drop_units(torch.relu(torch.bmm(each, self.hidden) + self.hidden_bias))
        logits: torch.Tensor = (hidden * self.out).sum(dim=2) + self.out_bias
        return logits.T


def export(net: QualityNet, means: npt.NDArray[np.float32], scales: npt.NDArray[np.float32], target: Path) -> int:
    """Write the network, its large layer as int8 with a scale for each unit; return the file's size in bytes."""
    hidden = net.hidden.detach().permute(1, 0, 2).reshape(len(means), -1).numpy()
    steps = np.abs(hidden).max(axis=0) / 127
    small = {"hidden_bias": net.hidden_bias[:, 0], "out": net.out[:, 0], "out_bias": net.out_bias[:, 0]}
    arrays = {name: array.detach().numpy().astype(np.float32) for name, array in small.items()}
    levels = np.rint(hidden / steps).astype(np.int8)
    np.savez_compressed(target, means=means, scales=scales, hidden=levels, hidden_steps=steps, **arrays)
    return target.stat().st_size
