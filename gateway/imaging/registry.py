"""The names of what can be computed about a picture, and of the model. Pure; must not know how, nor who asks."""

from __future__ import annotations

PROCESSORS: tuple[str, ...] = ("score",)

# Part of every answer and of its ETag: changes whenever the same bytes may get another score.
MODEL_VERSION = "0.1-formula"
