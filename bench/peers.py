"""Who else judges pictures without a reference: each function takes a file and returns the call that judges it.

Each call reads and decodes the file by itself, as its users' calls do. OpenCV comes with the tests' packages; brisque
and cleanvision are optional, their functions raise ImportError without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image, ImageFilter, ImageStat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Judge = Callable[[], Any]


def laplacian(path: Path) -> Judge:
    """OpenCV's variance of the Laplacian: higher is sharper."""
    cv2.setNumThreads(1)
    data = np.frombuffer(path.read_bytes(), np.uint8)

    def judge() -> float:
        grey: Any = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return float(cv2.Laplacian(grey, cv2.CV_64F).var())

    return judge


def edges(path: Path) -> Judge:
    """The spread of Pillow's edge filter at full size, which CleanVision's blur score began with: higher is sharper."""
    return lambda: ImageStat.Stat(Image.open(path).convert("L").filter(ImageFilter.FIND_EDGES)).stddev[0]


def cleanvision(path: Path) -> Judge:
    """CleanVision's checks of one picture: blur, dark, light, low information, odd ratio, odd size, greyscale.

    Called below its table of results, which would cost more than the checks of a small picture.
    """
    module = import_module("cleanvision.issue_managers.image_property_issue_manager")
    checks = dict(module.ImagePropertyIssueManager().image_properties)
    names = [name for name in checks if name != "light"]  # made of what "dark" has measured
    return lambda: module.compute_scores(0, [Image.open(path)], names, checks)


def cleanvision_blur(path: Path) -> Judge:
    """CleanVision's blur score of today, 0..1, from 64 pixels: higher is sharper."""
    frame = import_module("pandas").DataFrame
    manager = import_module("cleanvision.issue_managers.image_property_issue_manager").ImagePropertyIssueManager()
    check, options = manager.image_properties["blurry"], manager.params["blurry"]

    def judge() -> float:
        raw = frame([check.calculate(Image.open(path).convert("RGB"))])
        return float(check.get_scores(raw, "blurry", **options).iloc[0, 0])

    return judge


def brisque(path: Path) -> Judge:
    """PyPI's brisque with its own model, 0..100: lower is better."""
    module: Any = import_module("brisque.brisque")
    module.float = lambda value: np.asarray(value).item()  # 0.2.0 converts arrays of one number, which numpy ends
    judge = module.BRISQUE(url=False)
    return lambda: judge.score(np.asarray(Image.open(path).convert("RGB")))
