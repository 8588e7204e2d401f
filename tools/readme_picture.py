"""Makes the README's picture again: the contact sheet of the demo's pictures, as Chromium shows it.

`python -m tools.readme_picture`, where `chromium` is installed. The picture says in its EXIF data of which model it is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from gateway.commands.pictures import draw_samples
from gateway.imaging.registry import MODEL_VERSION

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "contact-sheet.webp"
DESCRIPTION = 0x010E  # EXIF's tag
_SHOWN = frozenset({"sharp.jpg", "overexposed.jpg", "noisy.jpg", "dark.jpg", "blocky.jpg", "blurred.jpg"})
_WIDTH, _HEIGHT = 980, 1450  # pixels: two rows of three


def made_by() -> str:
    """Return what the picture's description must be."""
    return f"gateway score --sheet, model {MODEL_VERSION}"


def main() -> None:
    """Make it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, data in draw_samples().items():
            if key in _SHOWN:
                (folder / key).write_bytes(data)
        sheet, shot = folder / "sheet.html", folder / "shot.png"
        score = [sys.executable, "-m", "gateway", "score", *sorted(_SHOWN), "--sheet", sheet]
        subprocess.run(score, cwd=folder, check=True)  # noqa: S603 # our own command
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        size = f"--window-size={_WIDTH},{_HEIGHT}"
        subprocess.run([*browser, size, f"--screenshot={shot}", sheet.as_uri()], check=True, timeout=120)  # noqa: S603 # Debian's
        exif = Image.Exif()
        exif[DESCRIPTION] = made_by()
        Image.open(shot).convert("RGB").save(PICTURE, quality=75, method=6, exif=exif)


if __name__ == "__main__":
    main()
