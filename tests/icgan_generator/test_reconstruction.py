import numpy as np
import pytest
import torch

from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.reconstruction import as_bytes, reconstruct, reconstruct_samples


def test_what_is_left_out_is_zero_noise_and_its_dense_vector(generator: Generator) -> None:
    h, z, d = torch.randn(5, 16), torch.randn(5, 24), torch.randn(5, 256)
    zeros = torch.zeros(5, 24)
    with torch.no_grad():
        expected = {
            "h": generator(zeros, h),
            "h and z": generator(z, h),
            "all": generator.from_dense(d, z, h),
        }
    found = {
        "h": reconstruct(generator, h, batch_size=2),
        "h and z": reconstruct(generator, h, z=z, batch_size=2),
        "all": reconstruct(generator, h, z=z, d=d, batch_size=2),
    }
    for name, pictures in expected.items():
        torch.testing.assert_close(found[name], pictures, rtol=1e-5, atol=1e-5)
    other = z.clone()
    other[:, :6] = 9.0
    torch.testing.assert_close(reconstruct(generator, h, z=other, d=d), found["all"], rtol=1e-5, atol=1e-5)


def test_samples_differ_by_noise_that_all_stimuli_share(generator: Generator) -> None:
    h = torch.randn(1, 16).expand(3, -1)
    found = reconstruct_samples(generator, h, n_samples=4, seed=2)
    assert found.shape == (3, 4, 3, 32, 32)
    torch.testing.assert_close(found[0], found[2], rtol=1e-5, atol=1e-5)
    assert (found[0, 0] - found[0, 1]).abs().max() > 0.01
    assert torch.equal(found, reconstruct_samples(generator, h, n_samples=4, seed=2))


def test_bytes_are_the_authors_formula() -> None:
    pictures = torch.linspace(-1.1, 1.1, 1001)
    expected = np.clip(128 * (pictures.numpy() + 1), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(as_bytes(pictures).numpy(), expected)
    assert as_bytes(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]


def test_a_generator_in_training_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match="in training mode"):
        reconstruct(generator.train(), torch.randn(2, 16))
