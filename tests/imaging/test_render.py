from __future__ import annotations

import numpy as np
import pytest
import pyvips

from gateway.imaging.render import to_image, to_pixels
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
