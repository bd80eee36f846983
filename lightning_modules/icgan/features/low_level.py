"""Low-level descriptors of pictures on a coarse grid: Gabor energy, RGB, luminance and colour."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve1d
from skimage.color import rgb2gray
from skimage.filters import gabor_kernel
from torch.nn import functional

GRID = 8
"""Cells along each side."""
ORIENTATIONS = tuple(np.pi * k / 4 for k in range(4))
"""Of the wave's direction, radians from the horizontal."""
FREQUENCIES = (0.08, 0.15, 0.25)
"""Cycles per pixel."""
N_CHANNELS = len(ORIENTATIONS) * len(FREQUENCIES) + 3
"""Gabor filters and RGB."""
_CHUNK = 100
"""Pictures filtered at once; bounds the memory."""


def low_level_bank(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Gabor energy and RGB on the grid, (n, 15 x 64) of images (n, S, S, 3); column = channel x 64 + cell.

    Source:
        icgan.md section 8.2, "Feature banks".
    """
    energies = np.concatenate(
        [_on_grid(gabor_energy(images[i : i + _CHUNK])) for i in range(0, len(images), _CHUNK)]
    )
    return np.concatenate([energies, _on_grid(images.transpose(0, 3, 1, 2))], axis=1).reshape(len(images), -1)


def luminance_colour_grid(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Luminance, red - green and blue - yellow on the grid, (n, 3 x 64) of images (n, S, S, 3).

    Source:
        icgan.md section 8.2: the 192 values on an 8 x 8 grid that stand in for low-level content.
    """
    red, green, blue = np.moveaxis(images, 3, 0)
    maps = np.stack([rgb2gray(images), red - green, blue - (red + green) / 2], axis=1)
    return _on_grid(maps).reshape(len(images), -1)


def gabor_energy(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared amplitude of complex Gabor filters on luminance, mirrored at the picture's edges.

    Args:
        images: RGB in [0, 1], (n, S, S, 3).

    Returns:
        (n, 12, S, S): every frequency of the first orientation, then of the next.
    """
    luminance = rgb2gray(images)
    kernels = [
        gabor_kernel(frequency, theta=angle)  # type: ignore[arg-type]  # scikit-image's hint says int
        for angle in ORIENTATIONS
        for frequency in FREQUENCIES
    ]
    energy = np.empty((len(images), len(kernels), *luminance.shape[1:]))
    for index, kernel in enumerate(kernels):
        down, right = _separated(kernel)
        filtered = (
            _filter_matrix(down, luminance.shape[1]) @ luminance @ _filter_matrix(right, luminance.shape[2]).T
        )
        energy[:, index] = filtered.real**2 + filtered.imag**2
    return energy


def _separated(kernel: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Factors k, l of a kernel k lᵀ. A round Gaussian times a plane wave is such a product at every orientation."""
    row, column = kernel.shape[0] // 2, kernel.shape[1] // 2
    return kernel[:, column] / kernel[row, column], kernel[row]


def _filter_matrix(kernel: NDArray[np.complex128], length: int) -> NDArray[np.complex128]:
    """Convolution of a mirrored line of pixels as a matrix, (length, length)."""
    unit = np.eye(length, dtype=np.complex128)
    return np.asarray(convolve1d(unit, kernel, axis=0, mode="reflect"), dtype=np.complex128)


def _on_grid(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Means of maps (n, C, S, S) over the cells: (n, C, 64)."""
    whole = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float64))
    return functional.adaptive_avg_pool2d(whole, GRID).flatten(2).numpy()
