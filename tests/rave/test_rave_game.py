"""The two optimizers: who is moved by what, in which order, with which sign."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch
from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule
from lightning_modules.rave.module import Rave

BuildRave = Callable[..., Rave]
BuildTrainer = Callable[..., pl.Trainer]
Tensors = dict[str, Tensor]
EVERYTHING = 1e9


class Moments(pl.Callback):
    """Notes state and gradients before each step of an optimizer, and at the end."""

    def __init__(self) -> None:
        self.steps: list[tuple[bool, Tensors, Tensors]] = []
        self.end: Tensors = {}

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        gradients = {
            name: one.grad.clone() for name, one in pl_module.named_parameters() if one.grad is not None
        }
        of_classifier = optimizer.param_groups[0]["params"][0] is next(
            pl_module.session_classifier.parameters()
        )
        self.steps.append((of_classifier, copied(pl_module.state_dict()), gradients))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.end = copied(pl_module.state_dict())


def copied(state: Tensors) -> Tensors:
    return {name: one.clone() for name, one in state.items()}


def part(state: Tensors, name: str) -> Tensors:
    return {key: one for key, one in state.items() if key.startswith(name)}


def same(one: Tensors, other: Tensors) -> bool:
    assert one
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def one_batch(model: Rave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer) -> Moments:
    """Train on one batch in float64."""
    moments = Moments()
    trainer = build_trainer(
        max_epochs=1, precision="64-true", callbacks=[moments], limit_val_batches=0, num_sanity_val_steps=0
    )
    trainer.fit(model, DataLoader([trials], batch_size=None, collate_fn=lambda one: one))  # type: ignore[arg-type]
    return moments


def gradients_of(model: Rave, loss: Tensor) -> Tensors:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return {name: one for name, one in zip(names, found, strict=True) if one is not None}


def at(model: Rave, state: Tensors) -> Rave:
    """The model in training, in a state that was noted."""
    model.double().train().load_state_dict(state)
    return model


def test_each_batch_trains_the_classifier_several_times_and_then_the_rest_once(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    moments = one_batch(build(classifier_steps=4), trials, build_trainer)
    assert [of_classifier for of_classifier, _, _ in moments.steps] == [True] * 4 + [False]
    # The model step adds no gradient to the classifier's.
    left, still_there = (part(gradients, "session_classifier") for _, _, gradients in moments.steps[-2:])
    assert same(left, still_there)


def test_the_classifiers_steps_leave_encoder_and_decoders_unchanged_bit_for_bit_and_theirs_the_classifier(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    """Batch normalisation's running statistics included; the classifier's own follow the model step's latents."""
    moments = one_batch(build(learning_rate=1e-2, classifier_learning_rate=1e-2), trials, build_trainer)
    _, first, _ = moments.steps[0]
    _, last, gradients = moments.steps[-1]
    for network in ("autoencoder", "behaviour_decoder"):
        assert same(part(first, network), part(last, network))
        assert not same(part(last, network), part(moments.end, network))
    assert not same(part(first, "session_classifier"), part(last, "session_classifier"))
    assert same(part(last, "session_classifier"), part(moments.end, "session_classifier"))
    for of_classifier, _, gradients in moments.steps[:-1]:
        assert of_classifier
        assert all(not one.any() for name, one in gradients.items() if "session_classifier" not in name)


def test_the_classifier_descends_the_cross_entropy_of_the_latents(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    moments = one_batch(build(), trials, build_trainer)
    for _, state, gradients in moments.steps[:-1]:
        model = at(build(), state)
        logits = model.session_classifier(model(trials.spikes).latent.detach())
        expected = gradients_of(model, functional.cross_entropy(logits, trials.session))
        for name, one in part(expected, "session_classifier").items():
            torch.testing.assert_close(gradients[name], one, rtol=0, atol=1e-14)


def test_the_encoder_gets_exactly_the_classifiers_gradient_turned_times_the_weight(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    settings = {"domain_weight": 0.7, "reconstruction_weight": 0.0, "behaviour_weight": 0.0}
    build_alone: Any = lambda: build(**settings, gradient_clip=EVERYTHING)  # noqa: E731
    _, state, gradients = one_batch(build_alone(), trials, build_trainer).steps[-1]
    model = at(build_alone(), state)
    logits = model.session_classifier(model(trials.spikes).latent)
    classified = gradients_of(model, functional.cross_entropy(logits, trials.session))
    encoder = part(classified, "autoencoder.encoder")
    assert max(one.abs().max() for one in encoder.values()) > 1e-4
    for name, one in encoder.items():
        torch.testing.assert_close(gradients[name], -0.7 * one, rtol=0, atol=1e-14)
    assert all(not one.any() for one in part(gradients, "autoencoder.decoder").values())


def test_all_terms_together_pull_each_part_as_their_weights_say(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    settings: dict[str, Any] = {
        "reconstruction_weight": 2.0,
        "behaviour_weight": 0.3,
        "domain_weight": 0.5,
        "gradient_clip": EVERYTHING,
    }
    _, state, gradients = one_batch(build(**settings), trials, build_trainer).steps[-1]
    model = at(build(**settings), state)
    output = model(trials.spikes)
    reconstructed = (output.reconstruction - model.input(trials.spikes)).square().mean()
    decoded = ((output.behaviour - trials.behaviour) / model.behaviour_scale).square().mean()
    entropy = functional.cross_entropy(model.session_classifier(output.latent), trials.session)
    of_reconstruction, of_behaviour, of_sessions = (
        gradients_of(model, loss) for loss in (reconstructed, decoded, entropy)
    )
    for name in part(gradients, "autoencoder.encoder"):
        expected = 2.0 * of_reconstruction[name] + 0.3 * of_behaviour[name] - 0.5 * of_sessions[name]
        torch.testing.assert_close(gradients[name], expected, rtol=0, atol=1e-13)
    for network, alone, weight in (
        ("autoencoder.decoder", of_reconstruction, 2.0),
        ("behaviour_decoder", of_behaviour, 0.3),
    ):
        for name in part(gradients, network):
            torch.testing.assert_close(gradients[name], weight * alone[name], rtol=0, atol=1e-13)


def test_the_models_gradient_is_clipped_without_changing_its_direction_and_the_classifiers_is_not(
    build: BuildRave, trials: LabelledSpikeBatch, build_trainer: BuildTrainer
) -> None:
    free, clipped = (
        one_batch(build(gradient_clip=clip), trials, build_trainer) for clip in (EVERYTHING, 1e-3)
    )
    vectors = []
    for moments in (free, clipped):
        _, _, gradients = moments.steps[-1]
        vectors.append(
            torch.cat([one.flatten() for name, one in gradients.items() if "session_" not in name])
        )
    assert vectors[0].norm() > 0.1
    assert vectors[1].norm().item() == pytest.approx(1e-3, rel=1e-4)
    torch.testing.assert_close(vectors[1] / vectors[1].norm(), vectors[0] / vectors[0].norm())
    for (_, _, one), (_, _, other) in zip(free.steps[:-1], clipped.steps[:-1], strict=True):
        assert same(part(one, "session_classifier"), part(other, "session_classifier"))


@pytest.mark.parametrize(("domain_weight", "matters"), [(0.7, True), (0.0, False)])
def test_the_session_of_a_trial_changes_training_if_and_only_if_the_domain_term_has_weight(
    build: BuildRave,
    trials: LabelledSpikeBatch,
    build_trainer: BuildTrainer,
    domain_weight: float,
    matters: bool,
) -> None:
    ends = []
    for session in (trials.session, trials.session.roll(5)):
        relabelled = trials._replace(session=session)
        ends.append(one_batch(build(domain_weight=domain_weight), relabelled, build_trainer).end)
    assert same(part(ends[0], "autoencoder"), part(ends[1], "autoencoder")) == (not matters)
    assert not same(part(ends[0], "session_classifier"), part(ends[1], "session_classifier"))


def test_both_optimizers_have_raves_momentum_and_decay_and_share_out_all_parameters(build: BuildRave) -> None:
    model = build(learning_rate=1e-4, classifier_learning_rate=3e-3, weight_decay=0.02)
    of_model, of_classifier = (one.param_groups[0] for one in model.configure_optimizers())
    assert (of_model["lr"], of_classifier["lr"]) == (1e-4, 3e-3)
    for group in (of_model, of_classifier):
        assert (group["betas"], group["weight_decay"]) == ((0.5, 0.999), 0.02)
    names = {id(one): name for name, one in model.named_parameters()}
    found = [[names[id(one)] for one in group["params"]] for group in (of_model, of_classifier)]
    assert sorted(found[0] + found[1]) == sorted(names.values())
    assert all(name.startswith("session_classifier.") for name in found[1])
    assert not any(name.startswith("session_classifier.") for name in found[0])


def test_lightning_counts_the_steps_of_both_optimizers(
    build: BuildRave, data: LabelledSpikeDataModule, build_trainer: BuildTrainer
) -> None:
    """As the README says of `max_steps`: 2 epochs of 3 batches, 3 + 1 steps each."""
    trainer = build_trainer(max_epochs=2)
    trainer.fit(build(classifier_steps=3), datamodule=data)
    assert trainer.global_step == 2 * 3 * 4
