from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import correlation

from lightning_modules.icgan.scoring.networks import Network, identify_class, score_in_network
from lightning_modules.parts.errors import DataError

MAP = np.random.default_rng(5).standard_normal((8 * 8 * 3, 30))


def project(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) @ MAP).reshape(len(images), 5, 6)


def make_pairs(noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    stimuli = rng.random((12, 8, 8, 3))
    return (1 - noise) * stimuli + noise * rng.random(stimuli.shape), stimuli


def test_distance_and_identification_are_those_of_a_slow_loop_with_scipy():
    made, stimuli = make_pairs(noise=0.6)
    scores = score_in_network(Network("toy", project, circular=False), made, stimuli)
    o, x = project(made).reshape(12, -1), project(stimuli).reshape(12, -1)
    r = np.array(
        [[1 - correlation(one, other) for one in o] for other in x]
    )  # rows truth, columns prediction
    wins = [sum(r[k, j] < r[j, j] for k in range(12) if k != j) / 11 for j in range(12)]
    np.testing.assert_allclose(scores.distance, 1 - np.diagonal(r), atol=1e-12)
    np.testing.assert_allclose(scores.identification.correct, wins)
    assert 0.5 < scores.identification.accuracy < 1


def test_scores_in_the_decoded_networks_own_space_are_labelled_circular():
    made, stimuli = make_pairs(noise=0.5)
    own = score_in_network(Network("swav", project, circular=True), made, stimuli)
    other = score_in_network(Network("inception", project, circular=False), made, stimuli)
    assert own.label == "swav (circular: the decoded network's own)"
    assert other.label == "inception"


def test_pictures_enter_the_network_at_the_protocols_size():
    seen = []

    def features(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape)
        return images.mean(axis=(1, 2))

    made, stimuli = make_pairs(noise=0.5)
    network = Network("alexnet features.4", features, circular=False, architecture="alexnet")
    assert score_in_network(network, made, stimuli, protocol="mindeye").side == 256
    assert score_in_network(network, made, stimuli, protocol="brain_diffuser").side == 224
    assert seen == [(12, 256, 256, 3)] * 2 + [(12, 224, 224, 3)] * 2


def test_a_network_that_drops_pictures_is_refused():
    made, stimuli = make_pairs(noise=0.5)
    with pytest.raises(DataError, match="short made 11 rows of features of 12 pictures"):
        score_in_network(Network("short", lambda images: images[1:], circular=False), made, stimuli)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (4, 1), (4, 3), (7, 2)])
def test_class_identification_is_the_mean_over_all_draws(n: int, k: int):
    rng = np.random.default_rng(2)
    made, seen = rng.random((6, 7)), rng.random((6, 7))
    expected = []
    for o, x in zip(made, seen, strict=True):
        own = int(x.argmax())
        others = [c for c in range(7) if c != own]
        draws = list(combinations(others, n - 1))
        expected.append(np.mean([sum(o[c] >= o[own] for c in draw) < k for draw in draws]))
    found = identify_class(made, seen, n=n, k=k)
    np.testing.assert_allclose(found.success, expected, atol=1e-12)
    assert found.accuracy == pytest.approx(np.mean(expected))
    assert found.chance == k / n


def test_class_identification_of_noise_is_at_chance():
    rng = np.random.default_rng(3)
    found = identify_class(rng.random((20000, 10)), rng.random((20000, 10)), n=5, k=2)
    assert found.accuracy == pytest.approx(found.chance, abs=0.01)
    np.testing.assert_allclose(found.sd_over_draws**2, found.success * (1 - found.success))


def test_impossible_draws_are_refused_with_both_problems_named():
    with pytest.raises(ValueError, match=r"`n` is 8, .* 7 classes. `k` is 9, .* n - 1 = 7"):
        identify_class(np.ones((2, 7)), np.ones((2, 7)), n=8, k=9)
