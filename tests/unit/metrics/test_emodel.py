from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.metrics.emodel import (
    DEFAULT_R,
    G711_WITHOUT_CONCEALMENT,
    RATED_CODECS,
    RatedCodec,
    codec_of,
    delay_impairment,
    loss_impairment,
    mos,
    rating,
)

G711 = RATED_CODECS["PCMA"]

codecs = st.sampled_from([*RATED_CODECS.values(), G711_WITHOUT_CONCEALMENT])
delays = st.floats(0, 1e6)
losses = st.floats(0, 100)
ratios = st.floats(1, 1000)


def default_r() -> float:
    """Ro - Is - Idle by the formulas of G.107, clauses 7.2 to 7.4, with the defaults of 7.7."""
    slr, rlr, stmr, lstr, ds, telr, wepl, qdu = 8, 2, 15, 18, 3, 65, 110, 1
    circuit_noise, noise_floor, room_send, room_receive, delay = -70, -64, 35, 35, 0
    lg, olr = math.log10, slr + rlr
    sent_noise = room_send - slr - ds - 100 + 0.004 * (room_send - olr - ds - 14) ** 2
    effective = room_receive + 10 * lg(1 + 10 ** ((10 - lstr) / 10))
    received_noise = rlr - 121 + effective + 0.008 * (effective - 35) ** 2
    levels = (circuit_noise, sent_noise, received_noise, noise_floor + rlr)
    noise = 10 * lg(sum(10 ** (level / 10) for level in levels))
    ro = 15 - 1.5 * (slr + noise)

    xolr = olr + 0.2 * (64 + noise - rlr)
    loudness = 20 * ((1 + (xolr / 8) ** 8) ** (1 / 8) - xolr / 8)
    stmro = -10 * lg(10 ** (-stmr / 10) + math.exp(-delay / 4) * 10 ** (-telr / 10))
    sidetone = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    q = 37 - 15 * lg(qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    quantizing = 15 * lg(1 + 10 ** ((ro - 100) / 15 + 46 / 8.4 - g / 9) + 10 ** (46 / 30 - g / 40))

    rle = 10.5 * (wepl + 7) * (delay + 1) ** -0.25
    listener_echo = (ro - rle) / 2 + math.sqrt((ro - rle) ** 2 / 4 + 169)
    return float(ro - loudness - sidetone - quantizing - listener_echo)


def test_the_default_connection_is_the_one_of_the_full_model() -> None:
    """G.107 prints 93.2, which is what its formulas give, rounded."""
    assert round(default_r(), 1) == DEFAULT_R


def test_the_published_reference_point_is_met() -> None:
    """G.107: the default connection has R = 93.2 and a MOS of 4.41."""
    assert rating(G711, 0) == DEFAULT_R
    assert round(mos(DEFAULT_R), 2) == 4.41


@pytest.mark.parametrize(
    ("r", "expected"),
    [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)],
)
def test_categories_of_quality_begin_where_the_standard_says(r: float, expected: float) -> None:
    """G.107, Annex B, table B.1; the same as in G.109."""
    # The table has rounded 4.024 to 4.03.
    assert mos(r) == pytest.approx(expected, abs=0.0065)


def test_the_coefficient_of_the_cubic_is_seven_millionths() -> None:
    """The slip of other tools: 1e-6, as a copy of the formula on the web has it, gives 4.28."""
    r = DEFAULT_R
    wrong = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 1e-6
    assert round(wrong, 2) == 4.28
    assert mos(r) - wrong > 0.1


def test_mos_is_cut_off_at_both_ends() -> None:
    assert [mos(r) for r in (-50, 0, 3.2, 100, 120)] == [1, 1, 1, 4.5, 4.5]


@pytest.mark.parametrize(
    ("delay_ms", "expected"),
    # By hand: X = 1 at 200 ms, 2 at 400 ms, 3 at 800 ms.
    [
        (200, 25 * (2 ** (1 / 6) - 3 * (1 + 3**-6) ** (1 / 6) + 2)),
        (400, 25 * (65 ** (1 / 6) - 3 * (1 + (2 / 3) ** 6) ** (1 / 6) + 2)),
        (800, 25 * (730 ** (1 / 6) - 3 * 2 ** (1 / 6) + 2)),
    ],
)
def test_delay_costs_what_the_formula_says(delay_ms: float, expected: float) -> None:
    assert delay_impairment(delay_ms) == pytest.approx(expected, rel=1e-12)


@given(st.floats(0, 100))
def test_delays_up_to_100_ms_cost_nothing(delay_ms: float) -> None:
    assert delay_impairment(delay_ms) == 0


def test_loss_costs_what_the_formula_says() -> None:
    assert loss_impairment(G711, 1) == pytest.approx(95 / 26.1)
    assert loss_impairment(G711_WITHOUT_CONCEALMENT, 1) == pytest.approx(95 / 5.3)
    assert loss_impairment(RATED_CODECS["G729"], 0) == 11
    assert loss_impairment(RATED_CODECS["G729"], 5) == pytest.approx(11 + 84 * 5 / 24)
    assert loss_impairment(G711, 4, burst_ratio=2) == pytest.approx(95 * 4 / (2 + 25.1))


@given(codecs, delays, losses, losses, ratios)
def test_mos_falls_with_loss(
    codec: RatedCodec, delay_ms: float, one: float, other: float, ratio: float
) -> None:
    less, more = sorted((one, other))
    best, worst = (mos(rating(codec, delay_ms, loss, ratio)) for loss in (less, more))
    assert 1 <= worst <= best <= 4.5


@given(codecs, delays, delays, losses)
def test_mos_falls_with_delay(codec: RatedCodec, one: float, other: float, loss: float) -> None:
    less, more = sorted((one, other))
    # One rounding step of floats: Idd is a small difference of large terms.
    assert mos(rating(codec, more, loss)) <= mos(rating(codec, less, loss)) + 1e-9


@given(losses, ratios, ratios)
def test_losses_that_come_together_are_worse(loss: float, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert loss_impairment(G711, loss, more) >= loss_impairment(G711, loss, less)


def test_a_loss_is_a_share_and_not_a_count() -> None:
    """The slip of other tools: 150 lost packets taken for 150 %."""
    with pytest.raises(ValueError, match="a loss of 150 %"):
        loss_impairment(G711, 150)


@pytest.mark.parametrize("delay_ms", [-1.0, math.nan])
def test_a_delay_that_cannot_be_is_refused(delay_ms: float) -> None:
    with pytest.raises(ValueError, match="a delay of"):
        delay_impairment(delay_ms)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan])
def test_a_burst_ratio_that_cannot_be_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="a burst ratio of"):
        loss_impairment(G711, 1, ratio)


@pytest.mark.parametrize("encoding", ["opus", "G722", None])
def test_what_has_no_published_factors_is_rated_as_an_assumption(encoding: str | None) -> None:
    codec = codec_of(encoding)
    assert (codec.ie, codec.bpl) == (G711.ie, G711.bpl)
    assert codec.source.startswith("assumed: ")


def test_encoding_names_are_known_in_any_case() -> None:
    assert codec_of("pcma") is codec_of("PCMA") is G711
