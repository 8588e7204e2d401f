from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import pyvips

from gateway.imaging.launch import worker_environment
from gateway.imaging.render import pixels, to_image, to_pixels
from tests.imaging.pictures import encode, photo_like


def lazy(width: int, height: int, bands: int, kind: type[np.unsignedinteger]) -> pyvips.Image:
    made = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (2 * height, 2 * width, bands), dtype=kind)
    return pyvips.Image.new_from_array(made).shrink(2, 2)


@pytest.mark.parametrize("size", [(1, 1), (3, 31), (400, 32), (33, 65), (7, 520)])
@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_pixels_are_those_of_libvips_own_sink(
    size: tuple[int, int], bands: int, kind: type[np.unsignedinteger]
) -> None:
    image = lazy(*size, bands, kind)
    expected = np.frombuffer(image.write_to_memory(), kind).reshape(size[1], size[0], bands)
    found = to_pixels(image)
    assert found.dtype == kind
    assert np.array_equal(found, expected)


def test_an_image_in_memory_keeps_what_is_asked_for_later() -> None:
    image = lazy(40, 30, 3, np.uint8).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"a profile")
    found = to_image(to_pixels(image), image)
    assert (found.interpretation, found.get("orientation")) == ("srgb", 6)
    assert found.get("icc-profile-data") == b"a profile"
    assert np.array_equal(found.numpy(), image.numpy())
    bare = lazy(4, 3, 1, np.uint8)
    assert to_image(to_pixels(bare), bare).get_typeof("orientation") == 0


def test_what_cannot_be_decoded_is_an_error_as_in_libvips_own_sink() -> None:
    data = encode(photo_like(400, 300), "PNG")
    image = pyvips.Image.new_from_buffer(data[: len(data) // 2], "", access="sequential", fail_on="error")
    with pytest.raises(pyvips.Error):
        to_pixels(image)


def test_each_step_computes_some_rows_and_another_thread_may_take_the_next() -> None:
    image = lazy(400, 1000, 3, np.uint8)
    steps, found = pixels(image), []

    def take() -> None:
        try:
            next(steps)
        except StopIteration as ended:
            found.append(ended.value)

    taken = 0
    while not found:
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        taken += 1
    assert taken == 5, "of four strips of 80 rows each, and the end"
    assert np.array_equal(found[0], image.numpy())


_KINDS = """
import os
from PIL import Image, ImageCms
from gateway.imaging.assess import assess
from gateway.imaging.average import process
from gateway.imaging.decode import load
from gateway.imaging.leisure import finish
from tests.imaging.pictures import encode, photo_like, probe

profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
turned = Image.Exif()
turned[0x0112] = 6
photo = photo_like(2700, 1800)
kinds = [
    encode(photo, "JPEG"), encode(photo, "JPEG", progressive=True), encode(photo.convert("L"), "JPEG"),
    encode(photo.convert("CMYK"), "JPEG"), encode(Image.merge("CMYK", [Image.new("L", (600, 400))] * 4), "JPEG"),
    encode(photo, "JPEG", exif=turned.tobytes()), encode(photo, "JPEG", icc_profile=profile),
    encode(photo.convert("L"), "JPEG", icc_profile=profile), encode(photo.resize((2000, 40)), "JPEG"),
    encode(photo.resize((5, 5)), "JPEG"), encode(Image.new("RGB", (900, 700), "white"), "JPEG"),
]
for number, data in enumerate(kinds):
    with open("picture", "wb+") as file:
        file.write(data)
        file.flush()
        for task in (assess, lambda *a, **b: finish(process(load(*a, **b), None))):
            file.seek(0)
            task(file.fileno(), probe(data), max_pixels=10**9)
            names = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
            assert len(names) == 1, (number, task, names)
print(len(kinds))
"""


def test_no_jpeg_needs_a_thread_of_libvips(tmp_path: Path) -> None:
    """Such a thread would be of the class of whoever made it, and work later for others."""
    environment = {**worker_environment(), "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run([sys.executable, "-c", _KINDS], env=environment, cwd=tmp_path, stdout=-1, check=True)
    assert int(done.stdout) == 11
