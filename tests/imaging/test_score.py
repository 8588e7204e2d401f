from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import report
from gateway.imaging.curves import CURVES, PENALTIES, WEIGHTS, Curve
from gateway.imaging.network import Opinion
from gateway.imaging.score import Size, at, build_report, penalty
from gateway.report import Flags, QualityReport

FLAGS = Flags(long_image=False, black_and_white=False, small_image=False, big_image=False, pure_image=False)
FIGURES = sorted({figure for curves in CURVES.values() for figure, _ in curves})
WITHOUT_PENALTY = ("chroma_share", "light_imbalance")  # they move sub-scores only: uneven light can be meant
GOOD = {
    "edge_steepness": 0.5,
    "edge_ratio": 1.2,
    "edge_direction": 0.8,
    "noise_sigma": 0.8,
    "speck_share": 0.0,
    "luma_top": 250.0,
    "highlights_share": 0.0,
    "brightness": 0.1,
    "contrast": 180.0,
    "colourfulness": 50.0,
    "light_imbalance": 0.2,
    "long_side": 4000.0,
    "chroma_share": 1.0,
    "stairs": 0.02,
    "hidden_stairs": 0.02,
    "jpeg_quality": 95.0,
    "webp_quantiser": 5.0,
    "balance": 0.8,
    "concentration": 0.5,
    "coverage": 0.9,
}
ALL_CURVES: list[tuple[str, Curve]] = [
    *((f"{name}:{figure}", curve) for name, curves in CURVES.items() for figure, curve in curves),
    *((f"penalty:{name}", tuple((x, 1 + y / 10) for x, y in curve)) for name, curve in PENALTIES.items()),
]


def rate(
    changes: dict[str, float] | None = None,
    size: Size | None = None,
    image_format: str = "jpeg",
    opinion: Opinion | None = None,
) -> QualityReport:
    figures = {**GOOD, **(changes or {})}
    return build_report(figures, opinion or Opinion(1.2, 0.1), FLAGS, size or Size(2000, 1500), image_format)


@pytest.mark.parametrize(("name", "curve"), ALL_CURVES)
def test_every_curve_is_monotone_and_stays_in_its_range(name: str, curve: Curve) -> None:
    figures, heights = [x for x, _ in curve], [y for _, y in curve]
    assert all(a < b for a, b in itertools.pairwise(figures)), name
    steps = [b - a for a, b in itertools.pairwise(heights)]
    flat_end = name == "penalty:resolution"  # full HD and more is best
    assert all(step > 0 or (flat_end and step == 0) for step in steps) or all(step < 0 for step in steps)
    assert min(heights) >= 0
    assert max(heights) <= 1


def test_a_curve_is_straight_between_its_points_and_flat_beyond() -> None:
    curve = ((0.0, 1.0), (10.0, 0.5), (20.0, 0.0))
    assert [at(curve, value) for value in (-5, 0, 5, 10, 15, 20, 99)] == [1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert at(curve, math.nan) == 0


@given(st.dictionaries(st.sampled_from(FIGURES), st.floats()), st.sampled_from(["jpeg", "png", "webp", "gif"]))
def test_every_value_stays_in_its_range_for_any_input(changes: dict[str, float], image_format: str) -> None:
    found = rate(changes, image_format=image_format)
    assert all(0 <= value <= 1 for value in (found.score, *found.sub_scores.values()))
    assert all(0 <= value <= 100 for value in (found.clarity, found.aesthetic, found.content))
    assert 0 < found.confidence <= 1


@given(st.floats(allow_nan=False), st.floats(0, 1e300))
def test_the_score_is_bounded_for_any_opinion(value: float, doubt: float) -> None:
    found = rate(opinion=Opinion(value, doubt))
    assert 0 <= found.score <= 1
    assert 0 <= found.confidence <= 1


@pytest.mark.parametrize("figure", FIGURES)
def test_a_worse_figure_never_gives_a_better_score(figure: str) -> None:
    curve = next(curve for curves in CURVES.values() for name, curve in curves if name == figure)
    worse_to_better = sorted(curve, key=lambda point: point[1])
    first, last = worse_to_better[0][0], worse_to_better[-1][0]
    scores = [rate({figure: first + (last - first) * step / 50}).score for step in range(51)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1] or figure in WITHOUT_PENALTY


def test_sub_scores_carry_the_published_names() -> None:
    names = "jpeg_quality jpeg_chroma focus noise contrast exposure saturation lighting pixel_score color_score dct"
    more = "blockiness chroma_subsampling resolution"
    assert set(rate().sub_scores) == {*names.split(), *more.split()}


@pytest.mark.parametrize("image_format", ["png", "webp", "gif"])
def test_jpeg_sub_scores_exist_for_jpeg_only(image_format: str) -> None:
    assert set(rate().sub_scores) - set(rate(image_format=image_format).sub_scores) == {"jpeg_quality", "jpeg_chroma"}


def test_block_sub_scores_are_absent_above_ten_megapixels() -> None:
    absent = {"dct", "blockiness", "chroma_subsampling"}
    assert not absent & set(rate(size=Size(4001, 2500)).sub_scores)
    assert absent <= set(rate(size=Size(4000, 2500)).sub_scores)


def test_full_chroma_gives_full_chroma_scores() -> None:
    found = rate({"chroma_share": 1.0}).sub_scores
    assert (found["jpeg_chroma"], found["chroma_subsampling"]) == (1, 1)
    assert rate({"chroma_share": 0.25}).sub_scores["jpeg_chroma"] < 0.9


def test_the_published_part_scores_give_about_the_published_totals() -> None:
    """Cloudinary's sample: contrast 0.85, exposure 0.97, saturation 1, lighting 1 -> color_score 0.91."""
    parts = {"contrast": 0.85, "exposure": 0.97, "saturation": 1.0, "lighting": 1.0}
    weights = WEIGHTS["color"]
    color = math.prod(parts[name] ** (weight / sum(weights.values())) for name, weight in weights.items())
    assert color == pytest.approx(0.91, abs=0.01)


def test_a_faultless_picture_has_no_reasons_and_a_faulty_one_names_the_figure() -> None:
    assert rate().reasons == ()
    blurred = rate({"edge_steepness": 0.04, "edge_ratio": 0.2, "noise_sigma": 9.04})
    assert "4% of the contrast" in blurred.reasons[0]
    assert "9.0 grey levels" in blurred.reasons[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"edge_steepness": 0.03, "edge_ratio": 0.2, "edge_direction": 0.3}, "Motion blur"),
        ({"edge_steepness": 0.03, "edge_ratio": 0.2}, "Blur: even the sharpest edges"),
        ({"speck_share": 0.05}, "Specks: 5.0% of the pixels"),
        ({"luma_top": 80.0}, "Too dark: the brightest parts reach 31%"),
        ({"highlights_share": 0.4}, "Too bright: highlights clipped on 40% of the area"),
        ({"jpeg_quality": 30.0, "chroma_share": 0.25}, "JPEG quality about 30, chroma at 1/4"),
        ({"jpeg_quality": 30.0, "chroma_share": 0.5}, "JPEG quality about 30, chroma halved"),
        ({"contrast": 40.0}, "Low contrast: 90 % of the pixels lie within 16% of the range"),
        ({"colourfulness": 4.0}, "Pale colours: colourfulness 4"),
        ({"light_imbalance": 1.5}, "Uneven light: areas differ by 150%"),
        ({"stairs": 1.5}, "Blocks are visible"),
        ({"long_side": 300.0}, "Small: 300 pixels on the long side"),
    ],
)
def test_each_fault_is_said_in_words_with_its_figure(changes: dict[str, float], words: str) -> None:
    assert any(reason.startswith(words) for reason in rate(changes).reasons)


def test_the_members_doubt_lowers_the_confidence_and_nothing_else() -> None:
    sure, unsure = rate(opinion=Opinion(0.5, 0.0)), rate(opinion=Opinion(0.5, 1.0))
    assert (sure.confidence, unsure.confidence) == (1, 0.5)
    assert sure.score == unsure.score


def test_the_score_is_the_opinion_and_the_penalties() -> None:
    assert penalty(GOOD) <= 0
    assert rate().score == pytest.approx(1 / (1 + math.exp(-(1.2 + penalty(GOOD)))))


@pytest.mark.parametrize(("size", "unreliable"), [((49, 60), True), ((50, 250), False), ((50, 251), True)])
def test_tiny_and_narrow_pictures_are_called_unreliable(size: tuple[int, int], *, unreliable: bool) -> None:
    assert any("unreliable" in reason for reason in rate(size=Size(*size)).reasons) is unreliable


def test_resolution_costs_little_at_500_pixels_and_nothing_from_full_hd_on() -> None:
    scores = {side: rate({"long_side": float(side)}).score for side in (3840, 1920, 960, 500, 240)}
    assert scores[3840] == scores[1920] > scores[960] > scores[500] > scores[240]
    assert scores[1920] - scores[500] <= 0.05
    assert scores[3840] - scores[240] >= 0.1


def test_clarity_does_not_depend_on_the_size() -> None:
    assert rate({"long_side": 300.0}).clarity == rate().clarity


def test_a_report_survives_json() -> None:
    assert report.from_json(report.to_json(rate())) == rate()
