"""The sizes of the public IC-GAN generators and of the small ones that train on a laptop."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BOTTOM_WIDTH = 4
"""Side of the map that the first linear layer fills, pixels."""

_GENERATOR_WIDTHS: Mapping[int, tuple[int, ...]] = {
    256: (16, 16, 8, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    64: (16, 16, 8, 4, 2),
    32: (4, 4, 4, 4),
}
"""Multiples of `channels` before the first and after each block, by resolution."""

_DISCRIMINATOR_WIDTHS: Mapping[int, tuple[int, ...]] = {
    256: (1, 2, 4, 8, 8, 16, 16),
    128: (1, 2, 4, 8, 16, 16),
    64: (1, 2, 4, 8, 16),
    32: (4, 4, 4, 4),
}
"""Multiples of `channels` after each block, by resolution."""

_HALVINGS: Mapping[int, int] = {256: 6, 128: 5, 64: 4, 32: 2}
"""How many blocks of the discriminator, the first ones, halve the picture's side."""


@dataclass(frozen=True)
class GeneratorPreset:
    """Everything that decides the shapes of a generator's and its discriminator's weights.

    Every other module reads sizes from here: none of them is written down anywhere else.

    Args:
        name: Of the preset.
        resolution: Side of the picture, pixels: 256, 128, 64 or 32.
        channels: Unit of the widths of all blocks, `G_ch` of the published configurations.
        h_dim: Dimensions of an instance's features h.
        e_dim: Of the embedding of h that conditions every block, `shared_dim_feat`.
        attention: Side of the map with self-attention, pixels; None for none.
        wanted_dim_z: Dimensions of the noise before it is cut to whole chunks, `dim_z` of the configurations.
        class_embedding: Shape of the embedding of classes that public models carry without using it; None
            where there is none.

    Raises:
        ValueError: If no architecture has this resolution, or attention at this side; all problems at once.

    Source:
        icgan.md sections 4.1, 4.2 and 8.3; the widths are BigGAN's (Brock, Donahue,
        Simonyan 2019, appendix B).
    """

    name: str
    resolution: int
    channels: int
    h_dim: int
    e_dim: int
    attention: int | None
    wanted_dim_z: int = 120
    class_embedding: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.resolution not in _GENERATOR_WIDTHS:
            known = ", ".join(str(one) for one in _GENERATOR_WIDTHS)
            problems.append(f"`resolution` is {self.resolution}, but there are architectures for {known}.")
        elif self.attention is not None and self.attention not in self.sides:
            problems.append(f"`attention` is {self.attention}, but the maps have sides {self.sides}.")
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be at least {least}."
            for name, least in (("channels", 1), ("h_dim", 1), ("e_dim", 1))
            if getattr(self, name) < least
        ]
        if not problems and self.chunk < 1:
            problems.append(f"`wanted_dim_z` is {self.wanted_dim_z}, but must fill {self.slots} chunks.")
        if problems:
            raise ValueError(f"No generator has the preset `{self.name}`:\n  " + "\n  ".join(problems))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels before the first and after each block of the generator."""
        return tuple(self.channels * one for one in _GENERATOR_WIDTHS[self.resolution])

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of the map after each block of the generator, pixels."""
        return tuple(
            2 * BOTTOM_WIDTH * 2**block for block in range(len(_GENERATOR_WIDTHS[self.resolution]) - 1)
        )

    @property
    def slots(self) -> int:
        """Chunks of the noise: one for the first layer and one for each block."""
        return len(self.widths)

    @property
    def chunk(self) -> int:
        """Dimensions of one chunk of the noise."""
        return self.wanted_dim_z // self.slots

    @property
    def dim_z(self) -> int:
        """Dimensions of the noise."""
        return self.slots * self.chunk

    @property
    def condition_dim(self) -> int:
        """Dimensions of what conditions one block: the embedding of h and one chunk of the noise."""
        return self.e_dim + self.chunk

    @property
    def dense_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the map that the dense vector fills."""
        return self.widths[0], BOTTOM_WIDTH, BOTTOM_WIDTH

    @property
    def dense_dim(self) -> int:
        """Dimensions of the dense vector, the output of the first linear layer."""
        return self.widths[0] * BOTTOM_WIDTH**2

    @property
    def discriminator_widths(self) -> tuple[int, ...]:
        """Channels after each block of the discriminator; the picture has 3 before."""
        return tuple(self.channels * one for one in _DISCRIMINATOR_WIDTHS[self.resolution])

    @property
    def discriminator_sides(self) -> tuple[int, ...]:
        """Side of the map after each block of the discriminator, pixels."""
        halvings = _HALVINGS[self.resolution]
        blocks = range(1, len(self.discriminator_widths) + 1)
        return tuple(self.resolution // 2 ** min(block, halvings) for block in blocks)

    def __str__(self) -> str:
        return (
            f"`{self.name}` ({self.resolution} pixels, {self.channels} channels, h {self.h_dim}, embedding "
            f"{self.e_dim}, z {self.dim_z}, attention {self.attention or 'nowhere'})"
        )


def _public(name: str, resolution: int, channels: int, attention: int) -> GeneratorPreset:
    return GeneratorPreset(name, resolution, channels, 2048, 512, attention, class_embedding=(1000, 128))


def _small(name: str, resolution: int, channels: int, attention: int | None) -> GeneratorPreset:
    return GeneratorPreset(name, resolution, channels, 256, 128, attention)


PRESETS: Mapping[str, GeneratorPreset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _public("256", 256, 96, 64),
            _public("256_halfcap", 256, 64, 64),
            _public("128", 128, 96, 64),
            _public("64", 64, 64, 32),
            _small("s32", 32, 16, None),
            _small("s32w", 32, 32, None),
            _small("s64n", 64, 8, 32),
            _small("s64", 64, 16, 32),
        )
    }
)
"""By name. Take `dataclasses.replace(PRESETS["s32"], h_dim=...)` where features have other dimensions."""

SMALL_BY_SIDE: Mapping[int, str] = MappingProxyType({32: "s32", 64: "s64n"})
"""The preset that trains on a laptop by the side of its pictures, pixels."""


def find_preset(name: str) -> GeneratorPreset:
    """Return the preset of a name.

    Raises:
        ValueError: If there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"`{name}` is no preset of the generator; there are {', '.join(PRESETS)}.")
    return PRESETS[name]
