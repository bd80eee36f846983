import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.generator.discriminator import Discriminator
from lightning_modules.icgan.generator.layers import (
    Attention,
    ConditionalBatchNorm,
    SpectralConv2d,
    SpectralLinear,
    n_parameters,
)
from lightning_modules.icgan.generator.network import Generator, measure_statistics
from lightning_modules.icgan.generator.presets import PRESETS, GeneratorPreset, find_preset


def on_meta(preset: GeneratorPreset) -> tuple[Generator, Discriminator]:
    with torch.device("meta"):
        return Generator(preset), Discriminator(preset)


@pytest.mark.parametrize(
    ("name", "slots", "chunk", "dim_z", "dense", "condition", "generator_m", "discriminator_m"),
    [
        ("256", 7, 17, 119, 24576, 529, 90.014, 100.8),
        ("256_halfcap", 7, 17, 119, 16384, 529, 42.9, None),
        ("128", 6, 20, 120, 24576, 532, 77.2, None),
        ("64", 5, 24, 120, 16384, 536, 36.7, None),
        ("s32", 4, 30, 120, 1024, 158, 0.42, 0.28),
        ("s32w", 4, 30, 120, 2048, 158, 1.28, 1.09),
        ("s64n", 5, 24, 120, 2048, 152, 0.73, 0.34),
        ("s64", 5, 24, 120, 4096, 152, 2.37, 1.29),
    ],
)
def test_sizes_are_those_of_the_specification(
    name: str,
    slots: int,
    chunk: int,
    dim_z: int,
    dense: int,
    condition: int,
    generator_m: float,
    discriminator_m: float | None,
) -> None:
    preset = PRESETS[name]
    assert (preset.slots, preset.chunk, preset.dim_z, preset.dense_dim) == (slots, chunk, dim_z, dense)
    assert preset.condition_dim == condition
    for network, millions in zip(on_meta(preset), (generator_m, discriminator_m), strict=True):
        if millions is not None:
            digits = len(str(millions).partition(".")[2])
            assert round(n_parameters(network) / 1e6, digits) == millions


def test_every_part_of_the_public_generator_has_the_parameters_of_the_table() -> None:
    generator, _ = on_meta(PRESETS["256"])
    assert [n_parameters(block) for block in generator.blocks] == [
        48_081_408, 19_544_832, 12_834_048, 5_680_513, 1_679_040, 572_256,
    ]  # fmt: skip
    parts = (generator.output_layer, generator.linear, generator.shared_feat, generator.shared)
    assert [n_parameters(part) for part in parts] == [2_787, 442_368, 1_049_088, 128_000]


def test_names_and_shapes_of_the_public_generator_are_those_of_its_checkpoint() -> None:
    def spectral(name: str, rows: int, *others: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
        found = {"weight": (rows, *others), "u0": (1, rows), "sv0": (1,)}
        return {
            f"{name}.{one}": shape for one, shape in (found | ({"bias": (rows,)} if bias else {})).items()
        }

    expected = {"shared.weight": (1000, 128), "blocks.3.1.gamma": ()}
    expected |= spectral("shared_feat", 512, 2048) | spectral("linear", 24576, 17)
    channels = (1536, 1536, 768, 768, 384, 192, 96)
    for k, (inputs, outputs) in enumerate(pairwise(channels)):
        expected |= spectral(f"blocks.{k}.0.conv1", outputs, inputs, 3, 3)
        expected |= spectral(f"blocks.{k}.0.conv2", outputs, outputs, 3, 3)
        expected |= spectral(f"blocks.{k}.0.conv_sc", outputs, inputs, 1, 1)
        for norm, of in (("bn1", inputs), ("bn2", outputs)):
            expected |= {f"blocks.{k}.0.{norm}.stored_{one}": (of,) for one in ("mean", "var")}
            for one in ("gain", "bias"):
                expected |= spectral(f"blocks.{k}.0.{norm}.{one}", of, 529, bias=False)
    for name, rows, columns in (("theta", 48, 384), ("phi", 48, 384), ("g", 192, 384), ("o", 384, 192)):
        expected |= spectral(f"blocks.3.1.{name}", rows, columns, 1, 1, bias=False)
    expected |= {f"output_layer.0.{one}": (96,) for one in ("gain", "bias", "stored_mean", "stored_var")}
    expected |= spectral("output_layer.2", 3, 96, 3, 3)
    found = {name: tuple(one.shape) for name, one in on_meta(PRESETS["256"])[0].state_dict().items()}
    assert found == expected
    assert len(found) == 198


def test_an_unknown_preset_and_an_impossible_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`s48` is no preset .* 256, 256_halfcap, 128, 64, s32"):
        find_preset("s48")
    with pytest.raises(ValueError, match=r"`attention` is 64, but the maps have sides \(8, 16, 32\)"):
        dataclasses.replace(PRESETS["s32"], attention=64)
    with pytest.raises(ValueError, match="`resolution` is 48"):
        dataclasses.replace(PRESETS["s32"], resolution=48)


def test_pictures_follow_the_specified_data_flow(preset: GeneratorPreset) -> None:
    generator = Generator(dataclasses.replace(preset, attention=16)).eval()
    z, h = torch.randn(3, 24), torch.randn(3, 16)
    nn.init.constant_(generator.blocks[1][1].gamma, 0.7)  # type: ignore[index]
    embedded = generator.shared_feat(h)
    x = generator.linear(z[:, :6]).view(3, 16, 4, 4)
    for k in range(3):
        block = generator.blocks[k][0]  # type: ignore[index]
        condition = torch.cat([embedded, z[:, 6 * (k + 1) : 6 * (k + 2)]], dim=1)
        inner = torch.relu(block.bn1(x, condition)).repeat_interleave(2, 2).repeat_interleave(2, 3)
        inner = block.conv2(torch.relu(block.bn2(block.conv1(inner), condition)))
        x = inner + block.conv_sc(x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        if k == 1:
            x = generator.blocks[1][1](x)  # type: ignore[index]
    norm, _, conv = generator.output_layer
    x = (x - norm.stored_mean[:, None, None]) / (norm.stored_var[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(generator(z, h), torch.tanh(conv(torch.relu(x))), rtol=1e-4, atol=1e-5)


def test_pictures_of_noise_are_those_of_its_dense_vector(generator: Generator) -> None:
    z, h = torch.randn(4, 24), torch.randn(4, 16)
    torch.testing.assert_close(
        generator(z, h), generator.from_dense(generator.dense(z), z, h), rtol=0, atol=1e-6
    )


def test_the_first_chunk_of_noise_matters_only_through_the_dense_vector(generator: Generator) -> None:
    z, h, d = torch.randn(4, 24), torch.randn(4, 16), torch.randn(4, 256)
    for first, changes in ((0, False), (6, True), (12, True), (18, True)):
        other = z.clone()
        other[:, first : first + 6] += 1
        same = torch.equal(generator.from_dense(d, z, h), generator.from_dense(d, other, h))
        assert same is not changes
        assert torch.equal(generator.dense(z), generator.dense(other)) is (first > 0)


def test_dense_vectors_of_noise_span_as_many_dimensions_as_a_chunk_has(generator: Generator) -> None:
    d = generator.dense(torch.randn(200, 24)).detach()
    values = torch.linalg.svdvals((d - d.mean(dim=0)).double())
    assert int((values > 1e-4 * values[0]).sum()) == 6


def test_an_embedding_is_taken_in_place_of_features_and_other_shapes_are_refused(
    generator: Generator,
) -> None:
    z, h = torch.randn(2, 24), torch.randn(2, 16)
    assert torch.equal(generator(z, generator.embed(h)), generator(z, h))
    with pytest.raises(ValueError, match=r"`h` has shape \(2, 9\).*takes \(pictures, 16\)"):
        generator(z, torch.randn(2, 9))
    with pytest.raises(ValueError, match=r"`d` has shape \(2, 255\).*takes \(pictures, 256\)"):
        generator.from_dense(torch.randn(2, 255), z, h)
    with pytest.raises(ValueError, match=r"`z` has shape \(2, 23\)"):
        generator(z[:, 1:], h)


@pytest.mark.parametrize("layer", [SpectralLinear(12, 20), SpectralConv2d(5, 7)])
def test_power_iterations_end_at_the_largest_singular_value(layer: SpectralLinear | SpectralConv2d) -> None:
    nn.init.normal_(layer.weight)
    largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
    for _ in range(200):
        normalised = layer.normalised_weight()
    assert layer.sv0.item() == pytest.approx(largest.item(), rel=1e-5)
    torch.testing.assert_close(normalised, layer.weight / largest, rtol=1e-5, atol=1e-7)


def test_the_estimate_moves_in_training_only() -> None:
    layer = SpectralLinear(6, 9)
    nn.init.normal_(layer.weight)
    start = layer.u0.clone()
    layer.eval()
    first = layer(torch.ones(1, 6))
    assert torch.equal(layer.u0, start)
    assert torch.equal(layer(torch.ones(1, 6)), first)
    layer.train()
    layer(torch.ones(1, 6))
    right = functional.normalize(start.double() @ layer.weight.double())
    left = functional.normalize(right @ layer.weight.double().T)
    torch.testing.assert_close(layer.u0.double(), left, rtol=1e-5, atol=1e-6)
    assert layer.sv0.item() == pytest.approx((left @ layer.weight.double() @ right.T).item(), rel=1e-5)


def test_conditional_batch_norm_equals_a_loop_by_hand() -> None:
    layer = ConditionalBatchNorm(4, 5)
    x, condition = torch.randn(6, 4, 3, 3) * 2 + 1, torch.randn(6, 5)
    gains = 1 + condition @ layer.gain.eval().normalised_weight().T
    biases = condition @ layer.bias.eval().normalised_weight().T
    found = layer.train(True)(x, condition)
    # The power iteration of the training step starts where that of `eval` did.
    for channel in range(4):
        values = [float(one) for one in x[:, channel].flatten()]
        mean = sum(values) / len(values)
        variance = sum((one - mean) ** 2 for one in values) / len(values)
        for b in range(6):
            expected = (x[b, channel] - mean) / math.sqrt(variance + 1e-5)
            expected = expected * gains[b, channel] + biases[b, channel]
            torch.testing.assert_close(found[b, channel], expected, rtol=1e-4, atol=1e-5)
        assert layer.stored_mean[channel].item() == pytest.approx(0.1 * mean, rel=1e-4)
        unbiased = variance * len(values) / (len(values) - 1)
        assert layer.stored_var[channel].item() == pytest.approx(0.9 + 0.1 * unbiased, rel=1e-4)


def test_attention_equals_a_loop_over_places() -> None:
    layer = Attention(16).eval()
    nn.init.constant_(layer.gamma, 0.6)
    x = torch.randn(2, 16, 4, 6)
    theta, phi, g, o = (
        one.normalised_weight()[:, :, 0, 0] for one in (layer.theta, layer.phi, layer.g, layer.o)
    )

    def pooled(matrix: Tensor, b: int, row: int, column: int) -> Tensor:
        block = x[b, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
        return (matrix @ block).max(dim=1).values

    found = layer(x)
    for b in range(2):
        places = [(row, column) for row in range(2) for column in range(3)]
        keys = torch.stack([pooled(phi, b, *one) for one in places])
        values = torch.stack([pooled(g, b, *one) for one in places])
        for row in range(4):
            for column in range(6):
                weights = torch.exp(keys @ (theta @ x[b, :, row, column]))
                gathered = (weights[:, None] * values).sum(dim=0) / weights.sum()
                expected = 0.6 * (o @ gathered) + x[b, :, row, column]
                torch.testing.assert_close(found[b, :, row, column], expected, rtol=1e-4, atol=1e-5)


def test_new_weights_are_orthogonal_and_attention_starts_as_nothing() -> None:
    torch.manual_seed(1)
    layer = SpectralLinear(30, 8)
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(8), rtol=1e-5, atol=1e-5)
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(Attention(16)(x), x)


def test_the_discriminator_projects_features_onto_what_it_sees(preset: GeneratorPreset) -> None:
    judge = Discriminator(preset).eval()
    pictures, h = torch.randn(3, 3, 32, 32), torch.randn(3, 16)
    x = pictures
    for k in range(4):
        block = judge.blocks[k][0]  # type: ignore[index]
        inner = block.conv2(torch.relu(block.conv1(torch.relu(x) if k else x)))
        shortcut = x if k > 1 else block.conv_sc(x)
        if k < 2:
            inner, shortcut = (functional.avg_pool2d(one, 2) for one in (inner, shortcut))
        x = inner + shortcut
    assert x.shape == (3, 16, 8, 8)
    seen = torch.relu(x).sum(dim=(2, 3))
    expected = torch.stack([judge.linear(seen[b])[0] + judge.linear_feat(h[b]) @ seen[b] for b in range(3)])
    torch.testing.assert_close(judge(pictures, h), expected, rtol=1e-4, atol=1e-4)


def test_measured_statistics_are_the_means_over_batches_and_leave_the_weights_alone(
    generator: Generator,
) -> None:
    z, h = torch.randn(40, 24), torch.randn(40, 16)
    before = {name: one.clone() for name, one in generator.state_dict().items()}
    first = generator.blocks[0][0].bn1  # type: ignore[index]
    measure_statistics(generator, z, h, batch_size=10)
    for name, one in generator.state_dict().items():
        assert torch.equal(one, before[name]) is ("stored" not in name)
    assert not generator.training
    maps = generator.dense(z).view(40, 16, 4, 4)
    torch.testing.assert_close(first.stored_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-5, atol=1e-5)
    parts = torch.stack([one.transpose(0, 1).flatten(1).var(dim=1) for one in maps.split(10)])
    torch.testing.assert_close(first.stored_var, parts.mean(dim=0), rtol=1e-5, atol=1e-5)
    assert first.momentum == 0.1
