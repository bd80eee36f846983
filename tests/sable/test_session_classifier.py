"""SABLE-DANN: the control in which a session classifier, not the reconstruction, stands behind the reversal."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch
from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.sable.module import Sable

BuildSable = Callable[..., Sable]
DANN: dict[str, Any] = {"variant": "session_classifier", "n_sessions": 3}
STRENGTH = 0.7


@pytest.fixture
def batch(trials: LabelledSpikeBatch) -> LabelledSpikeBatch:
    return trials._replace(spikes=trials.spikes.double(), behaviour=trials.behaviour.double())


def gradients(model: Sable, batch: LabelledSpikeBatch) -> dict[str, Tensor]:
    model.double().zero_grad()
    torch.manual_seed(11)
    model.training_step(batch, batch_idx=1).backward()
    found = {name: one.grad for name, one in model.named_parameters()}
    return {name: torch.zeros(()) if one is None else one for name, one in found.items()}


def part(found: dict[str, Tensor], name: str) -> Tensor:
    return torch.cat([one.flatten() for key, one in found.items() if key.startswith(name)])


def test_encoder_gets_the_reconstruction_as_it_is_and_the_classification_turned(
    build: BuildSable, batch: LabelledSpikeBatch
) -> None:
    model = build(**DANN)
    found = gradients(model, batch)
    plain = gradients(build(variant="no_reversal"), batch)
    torch.manual_seed(11)
    assert model.session_classifier is not None
    entropy = functional.cross_entropy(model.session_classifier(model(batch.spikes).latent), batch.session)
    names = [name for name, _ in model.named_parameters()]
    parameters = list(model.parameters())
    alone = torch.autograd.grad(entropy, parameters, allow_unused=True)
    classified = {
        name: torch.zeros(()) if one is None else one for name, one in zip(names, alone, strict=True)
    }
    assert part(classified, "encoder").norm() > 1e-4
    expected = part(plain, "encoder") - STRENGTH * part(classified, "encoder")
    torch.testing.assert_close(part(found, "encoder"), expected, rtol=0, atol=1e-14)
    for decoder in ("neural_decoder", "behaviour_decoder"):
        assert torch.equal(part(found, decoder), part(plain, decoder))
    torch.testing.assert_close(
        part(found, "session_classifier"), part(classified, "session_classifier"), rtol=0, atol=1e-14
    )


def test_relabelled_sessions_change_the_encoders_gradient(
    build: BuildSable, batch: LabelledSpikeBatch
) -> None:
    relabelled = batch._replace(session=batch.session.roll(1))
    one, other = (gradients(build(**DANN), labels) for labels in (batch, relabelled))
    assert not torch.equal(part(one, "encoder"), part(other, "encoder"))


def test_the_classifier_has_a_learning_rate_of_its_own_and_every_weight_one_group(build: BuildSable) -> None:
    model = build(**DANN, learning_rate=1e-4, classifier_learning_rate=3e-3)
    rates = {
        id(one): group["lr"] for group in model.configure_optimizers().param_groups for one in group["params"]
    }
    assert len(rates) == len(list(model.parameters()))
    for name, one in model.named_parameters():
        assert rates[id(one)] == (3e-3 if name.startswith("session_classifier") else 1e-4)


def test_the_classifier_learns_sessions_from_a_latent_that_need_not_hide_them(build: BuildSable) -> None:
    """With λ = 0 the encoder ignores the classifier: its cross-entropy falls well below chance level."""
    data = load_sessions(
        preset="strong", trials_per_session=40, n_units=24, n_bins=12, generated_bin_width_s=0.06
    )
    module = LabelledSpikeDataModule(data, batch_size=40)
    fresh = module.model_arguments
    assert fresh["n_sessions"] == 3
    settings = {"latent_dim": 8, "encoder_hidden": 16, "kl_weight": 0.0, "neural_weight": 5.0}
    rates = {"learning_rate": 1e-2, "classifier_learning_rate": 1e-2}
    model = build(**fresh, variant="session_classifier", reversal_strength=0.0, **settings, **rates)
    optimizer, entropies = model.configure_optimizers(), []
    for _ in range(60):
        for batch_idx, labelled in enumerate(module.train_dataloader()):
            optimizer.zero_grad()
            model.training_step(labelled, batch_idx + 1).backward()
            optimizer.step()
        entropies.append(model._trained[-1]["train/session_cross_entropy"].item())
    assert np.mean(entropies[-5:]) < 0.7 * np.log(3)


def test_batches_without_labels_are_refused_with_the_cure(build: BuildSable) -> None:
    with pytest.raises(ValueError, match=r"`n_sessions` is 0.*launch `sable-dann`"):
        build(variant="session_classifier")
