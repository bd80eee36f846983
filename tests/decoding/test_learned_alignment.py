from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.adversarial import fit_adversarial
from lightning_modules.parts.decoding.alignment import fit_aligned
from lightning_modules.parts.decoding.cycle import fit_cycle
from lightning_modules.parts.decoding.learned import LearnedAlignment, batches, frechet_distance, scaled_bins
from lightning_modules.parts.decoding.wiener import CountFilter, fit_wiener
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials

N_UNITS = 24

fit = partial(fit_wiener, lags=3, smoothing_bins=0, penalty=100.0)
raw = partial(fit_wiener, lags=3, smoothing_bins=2.0, penalty=100.0)

# From the identity, so that training has to undo the change and not the start.
LEARNED: dict[str, Callable[..., LearnedAlignment]] = {
    "adversarial": partial(
        fit_adversarial, start="identity", autoencoder_steps=500, n_steps=400, aligner_rate=1e-3
    ),
    "cycle": partial(fit_cycle, n_steps=500, batch_size=128, generator_rate=3e-3),
}
SHORT: dict[str, Callable[..., LearnedAlignment]] = {
    "adversarial": partial(
        fit_adversarial, start="identity", autoencoder_steps=300, n_steps=110, aligner_rate=1e-3
    ),
    "cycle": partial(fit_cycle, n_steps=12, batch_size=32),
}
each_aligner = pytest.mark.parametrize("name", list(LEARNED))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generate_day(seed: int, change: Callable[[np.ndarray], np.ndarray] = lambda rates: rates) -> SpikeTrials:
    """96 trials of 20 bins: Poisson counts of the same 24 tuned channels, whose rates the day changes."""
    tuning = np.random.default_rng(0)
    directions, offsets = tuning.standard_normal((2, N_UNITS)), tuning.uniform(0.0, 1.0, N_UNITS)
    rng = np.random.default_rng(seed)
    target = np.arange(96) % 8
    reach = np.stack([np.cos(target * np.pi / 4), np.sin(target * np.pi / 4)], axis=-1)
    profile = np.sin(np.linspace(0, np.pi, 20))
    behaviour = (reach * rng.uniform(0.7, 1.3, (96, 1)))[:, None] * profile[:, None]
    rates = np.exp(behaviour @ directions * 0.7 + offsets)
    spikes = rng.poisson(change(rates)).astype(np.uint8)
    return SpikeTrials(spikes, behaviour.astype(np.float32), target, np.full(96, seed))


def gains_and_offsets(rates: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rates * rng.uniform(0.4, 2.5, N_UNITS) + rng.uniform(0, 3, N_UNITS)


def mixing(rates: np.ndarray) -> np.ndarray:
    """Each channel hears a neighbour: a third of its rate is that of the next one."""
    return 0.65 * rates + 0.35 * np.roll(rates, 1, axis=-1)


def r2(predicted: np.ndarray, trials: SpikeTrials) -> float:
    truth = trials.behaviour.reshape(-1, 2)
    return r2_score(truth, predicted.reshape(truth.shape), multioutput="variance_weighted")


def score(name: str, new: SpikeTrials) -> tuple[float, float, float]:
    """R² of trials that no alignment saw: unaligned, aligned, and of a decoder with labels of the new day.

    The trials that are aligned with are shuffled: none of them is paired with one of the first day.
    """
    first, order = generate_day(1), np.random.default_rng(3).permutation(96)
    seen, other = new.select(order[:64]), new.select(order[64:])
    decoders = raw(first), fit_aligned(first, LEARNED[name](first, seen), fit), raw(seen)
    unaligned, aligned, oracle = (r2(decoder.predict(other.spikes), other) for decoder in decoders)
    return unaligned, aligned, oracle


@each_aligner
def test_a_day_without_drift_loses_little(name: str) -> None:
    unaligned, aligned, _ = score(name, generate_day(2))
    assert aligned > unaligned - 0.05


@each_aligner
def test_a_gain_and_an_offset_of_each_channel_are_undone(name: str) -> None:
    unaligned, aligned, oracle = score(name, generate_day(2, gains_and_offsets))
    assert unaligned < 0.6
    assert oracle - aligned < 0.2 * (oracle - unaligned)


@each_aligner
def test_a_mild_mixing_of_channels_is_undone_in_part(name: str) -> None:
    unaligned, aligned, oracle = score(name, generate_day(2, mixing))
    assert unaligned < oracle - 0.04
    assert oracle - aligned < 0.8 * (oracle - unaligned)


@each_aligner
def test_no_label_changes_any_bit(name: str) -> None:
    first, new = generate_day(1), generate_day(2, gains_and_offsets)
    blind = [
        replace(day, behaviour=np.full_like(day.behaviour, np.nan), target=np.arange(96)[::-1])
        for day in (first, new)
    ]
    seeing = SHORT[name](first, new).of_new_day(new.spikes)
    np.testing.assert_array_equal(SHORT[name](*blind).of_new_day(new.spikes), seeing)


@each_aligner
def test_a_seed_gives_the_same_bits_and_leaves_the_global_generator_alone(name: str) -> None:
    first, new = generate_day(1), generate_day(2, gains_and_offsets)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = SHORT[name](first, new, seed=1).of_new_day(new.spikes)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    np.testing.assert_array_equal(SHORT[name](first, new, seed=1).of_new_day(new.spikes), one)
    assert np.abs(SHORT[name](first, new, seed=2).of_new_day(new.spikes) - one).max() > 1e-4


@each_aligner
def test_trials_are_aligned_each_for_itself_without_dropout(name: str) -> None:
    first, new = generate_day(1), generate_day(2, gains_and_offsets)
    alignment, order = SHORT[name](first, new), np.random.default_rng(0).permutation(96)
    aligned = alignment.of_new_day(new.spikes)
    assert aligned.shape == new.spikes.shape
    np.testing.assert_array_equal(alignment.of_new_day(new.spikes), aligned)
    np.testing.assert_allclose(alignment.of_new_day(new.spikes[order]), aligned[order], rtol=0, atol=1e-5)
    rates = gaussian_filter1d(first.spikes.astype(float), 2.0, axis=1)
    expected = rates / rates.std(axis=(0, 1))
    np.testing.assert_allclose(alignment.of_first_day(first.spikes), expected, rtol=0, atol=1e-12)


def test_the_adversarial_aligner_starts_where_it_says() -> None:
    """A learning rate of zero leaves it there."""
    first, new = generate_day(1), generate_day(2, gains_and_offsets)
    one, other = (gaussian_filter1d(day.spikes.astype(float), 2.0, axis=1) for day in (first, new))
    still = partial(fit_adversarial, first, new, n_steps=1, autoencoder_steps=1, aligner_rate=0.0)
    expected = other / one.std(axis=(0, 1))
    found = still(start="identity").of_new_day(new.spikes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    standard = (other - other.mean(axis=(0, 1))) / other.std(axis=(0, 1))
    expected = standard + one.mean(axis=(0, 1)) / one.std(axis=(0, 1))
    found = still(start="moments").of_new_day(new.spikes)
    np.testing.assert_allclose(found[expected > 0], expected[expected > 0], rtol=0, atol=1e-4)


def test_discriminators_alone_bring_the_means_of_channels_over() -> None:
    """With weights of 0 nothing but the adversarial losses is left."""
    first, new = generate_day(1), generate_day(2, gains_and_offsets)
    only = LEARNED["cycle"](first, new, cycle_weight=0.0, identity_weight=0.0)
    wanted, found, unaligned = (
        rates.mean(axis=(0, 1))
        for rates in (
            only.of_first_day(first.spikes),
            only.of_new_day(new.spikes),
            only.of_first_day(new.spikes),
        )
    )
    assert np.abs(found - wanted).mean() < 0.35 * np.abs(unaligned - wanted).mean()


def test_an_adversarial_aligner_that_strays_is_not_kept() -> None:
    first, new = generate_day(1), generate_day(2)
    _, bins, new_bins = scaled_bins(first, new, CountFilter(False, 2.0), 16)
    at_start = frechet_distance(new_bins, bins)
    stray = SHORT["adversarial"](first, new, start="identity", aligner_rate=0.05)
    aligned = torch.from_numpy(stray.of_new_day(new.spikes).reshape(-1, N_UNITS))
    assert frechet_distance(aligned, bins) == pytest.approx(at_start, rel=1e-4)


def test_the_frechet_distance_is_that_of_scipys_matrix_root() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5)),
        rng.standard_normal((200, 5)) + 1,
    )
    covariances = np.cov(one.T), np.cov(other.T)
    root: Any = sqrtm(covariances[0] @ covariances[1])
    shift = ((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum()
    expected = shift + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    points = torch.from_numpy(one), torch.from_numpy(other)
    assert frechet_distance(*points) == pytest.approx(expected, rel=1e-9)
    assert abs(frechet_distance(points[0], points[0])) < 1e-9


def test_batches_show_every_bin_before_any_comes_again() -> None:
    bins = torch.arange(30.0)[:, None]
    passes = list(islice(batches(bins, 10), 6))
    for shown in (passes[:3], passes[3:]):
        assert sorted(torch.cat(shown)[:, 0].tolist()) == list(range(30))
    assert not torch.equal(torch.cat(passes[:3]), torch.cat(passes[3:]))


@each_aligner
def test_days_and_settings_that_cannot_be_aligned_are_refused(name: str) -> None:
    first, new = generate_day(1), generate_day(2)
    with pytest.raises(DataError, match=r"24 units.*\(96, 20, 23\)"):
        SHORT[name](first, replace(new, spikes=new.spikes[..., 1:]))
    with pytest.raises(DataError, match="1920 and 20 bins in trials, but one batch is 40 bins") as refused:
        SHORT[name](first, new.select(np.array([0])), batch_size=40)
    assert "lower `batch_size`" in refused.value.remedy
    with pytest.raises(ValueError, match="`n_steps` is 0, `batch_size` is -1"):
        SHORT[name](first, new, n_steps=0, batch_size=-1)
    with pytest.raises(DataError, match="24 units"):
        SHORT[name](first, new).of_new_day(new.spikes[..., 1:])


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'middle'.*moments, identity"):
        fit_adversarial(generate_day(1), generate_day(2), start="middle")  # type: ignore[arg-type]
