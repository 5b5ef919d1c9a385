"""Colours that everyone can tell apart and read, one template, one set of tokens, labels by word and shape."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from quantdesk.errors import UnknownName
from quantdesk.reports import theme

BOTH = pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    share = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson (2020)."""
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return to_lab @ np.cbrt(np.clip(to_cones @ rgb, 0, None))


def test_contrast_agrees_with_the_published_ends() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@BOTH
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "positive", "negative", "warning"])
@pytest.mark.parametrize("ground", ["background", "surface"])
def test_text_meets_wcag_aa(palette: theme.Palette, name: str, ground: str) -> None:
    assert contrast(getattr(palette, name), getattr(palette, ground)) >= 4.5


@BOTH
def test_marks_meet_wcag_aa_for_graphics(palette: theme.Palette) -> None:
    for colour in (*palette.categorical, palette.neutral):
        assert contrast(colour, palette.background) >= 3.0


@BOTH
@pytest.mark.parametrize("sight", SIGHT)
def test_series_stay_apart_for_every_kind_of_sight(palette: theme.Palette, sight: str) -> None:
    seen = [oklab(np.clip(SIGHT[sight] @ linear(colour), 0, 1)) for colour in palette.categorical]
    # The widely used Okabe-Ito set reaches 0.076 by this measure.
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) >= 0.08


@BOTH
def test_scales_go_one_way_in_lightness(palette: theme.Palette) -> None:
    def steps(colours: tuple[str, ...]) -> np.ndarray:
        return np.diff([oklab(linear(colour))[0] for colour in colours])

    assert abs(np.sign(steps(palette.sequential)).sum()) == len(palette.sequential) - 1
    middle = len(palette.diverging) // 2
    low, high = steps(palette.diverging[: middle + 1]), steps(palette.diverging[middle:])
    assert abs(np.sign(low).sum()) == middle
    assert np.array_equal(np.sign(low), -np.sign(high))


def test_every_colour_of_light_has_one_partner_in_dark() -> None:
    """A page turns a light figure dark by exchanging colours, so one colour must not mean two."""
    partner: dict[str, str] = {}
    for field in fields(theme.Palette):
        light, dark = getattr(theme.LIGHT, field.name), getattr(theme.DARK, field.name)
        pairs = [(light, dark)] if isinstance(light, str) else zip(light, dark, strict=True)
        for ours, theirs in pairs:
            assert partner.setdefault(ours, theirs) == theirs, field.name


def test_tokens_are_the_colours_of_the_palettes() -> None:
    light, dark = theme.tokens_css().split("@media (prefers-color-scheme: dark)")
    for css, palette in ((light, theme.LIGHT), (dark, theme.DARK)):
        for name, value in re.findall(r"--qd-(\w+): (#[0-9a-f]{6});", css):
            assert getattr(palette, name) == value
    named = {field.name for field in fields(theme.Palette)} - {"categorical", "sequential", "diverging"}
    assert set(re.findall(r"--qd-(\w+): #", light)) == set(re.findall(r"--qd-(\w+): #", dark)) == named
    assert f"--qd-font: {theme.FONT};" in light
    assert f"--qd-mono: {theme.MONO};" in light
    assert "url(" not in theme.tokens_css()
    assert "://" not in theme.tokens_css()


@pytest.fixture
def plotly_as_it_was() -> object:
    template, renderer = pio.templates.default, pio.renderers.default
    yield None
    pio.templates.default, pio.renderers.default = template, renderer


def test_register_makes_the_house_style_the_default(plotly_as_it_was: object) -> None:
    theme.register()
    theme.register()
    figure = go.Figure(go.Scatter(y=[1, 3, 2], name="a"))
    assert pio.templates.default == theme.TEMPLATE_NAME
    assert tuple(figure.layout.template.layout.colorway) == theme.LIGHT.categorical
    assert tuple(pio.templates[theme.DARK_TEMPLATE_NAME].layout.colorway) == theme.DARK.categorical
    bundle = figure._repr_mimebundle_()
    assert list(bundle) == ["application/vnd.plotly.v1+json"]  # no copy of the library, no script


def test_label_line_says_it_by_word_and_shape() -> None:
    line = theme.label_line(["survivors only", "real", "real", "adjusted_with_hindsight"])
    assert str(line) == "● real  ↺ adjusted with hindsight  ◆ survivors only"
    bundle = line._repr_mimebundle_()
    assert bundle[theme.LABELS_MIME] == ["real", "adjusted_with_hindsight", "survivors_only"]
    assert "●" in bundle["text/html"]
    assert "survivors only" in bundle["text/html"]
    assert len({shape for shape, _ in theme.LABELS.values()}) == len(theme.LABELS)


def test_label_line_takes_one_label_and_none() -> None:
    assert str(theme.label_line("mock")) == "✕ mock"
    assert str(theme.label_line([])) == ""


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean reconstructed"):
        theme.label_line(["reconstruct"])
