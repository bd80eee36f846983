"""Every number of SynthGOD: areas, noise and the experiment, by preset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from lightning_modules.icgan.features.small_net import NetSettings

Embedding: TypeAlias = Literal["small_net", "oracle"]
"""Instance features h: of the trained network, or attributes through a random matrix, independent of pixels."""


@dataclass(frozen=True)
class Area:
    """One visual area.

    Args:
        name: As the Generic Object Decoding files call it.
        n_voxels: Before the subject's own factor.
        low: Share a of the signal's variance from the low-level bank.
        mid: Share b from the network's last pooled map.
        semantic: Share c from principal components of h and the attributes.
        face: Share of the indicator of faces.
        scene: Share of the indicator of houses.
        radius: Of the receptive field's Gaussian window, cells of the 8 x 8 grid.
        snr: Base s of the ratio of signal to private noise variance in one trial.
        imagery: Factor of the signal during imagery.
    """

    name: str
    n_voxels: int
    low: float
    mid: float
    semantic: float
    face: float
    scene: float
    radius: float
    snr: float
    imagery: float


@dataclass(frozen=True)
class Noise:
    """What a trial adds to the signal.

    Args:
        limiting: κ, variance of the information-limiting noise where the signal's is 1.
        shared: ρ, share of it that is the same in all areas.
        n_mixed: Random training pictures whose signals one draw of it sums.
        log_snr_sd: Spread of the log signal-to-noise ratio over the voxels of an area.
        correlated: Share of the private noise's variance that runs through common factors.
        n_factors: Common factors.
        run_offset_sd: Standard deviation of a voxel's offset from run to run.
    """

    limiting: float = 12.0
    shared: float = 0.85
    n_mixed: int = 4
    log_snr_sd: float = 0.7
    correlated: float = 0.3
    n_factors: int = 20
    run_offset_sd: float = 0.5


@dataclass(frozen=True)
class SynthPreset:
    """One version of SynthGOD.

    Args:
        name: Of the preset.
        image_size: Side of the pictures, pixels; a multiple of 16.
        areas: Visual areas, from early to high.
        net: Network of the instance features.
        evaluation_net: Another one, for scores that are not circular.
        embedding: See `Embedding`.
        noise: Of the trials.
        n_training_classes: Classes of the training pictures.
        exemplars: Pictures of each.
        n_test_classes: Other classes, of one picture each.
        training_runs: Runs in which every training picture is shown once.
        test_runs: Runs in which every test picture is shown once each.
        imagery_runs: Runs of imagery.
        imagery_repeats: How often each test class is imagined.
        unmodelled: u, share of the signal's variance that random networks of the banks make.
        unmodelled_units: Units of both layers of these networks.
        unmodelled_gain: Standard deviation of what enters their tanh; higher is less linear.
        n_components: Principal components of h in the semantic bank.
        active_channels: Of the 15 low-level channels, how many a voxel listens to: 40 %.
        preference_sd: Spread of g, by which voxels weigh faces and scenes.
        subject_gains: Factor of every subject's signal-to-noise ratio; as many subjects as gains.
        size_factor: Range of the factor of an area's voxel count that every subject draws.
        face_in_object: Share of FFA's voxels that are flagged LOC as well.

    Source:
        icgan.md section 8.2. `unmodelled_gain` is not given there and was chosen on its calibration table.
    """

    name: str
    image_size: int
    areas: tuple[Area, ...]
    net: NetSettings
    evaluation_net: NetSettings
    embedding: Embedding = "small_net"
    noise: Noise = Noise()
    n_training_classes: int = 150
    exemplars: int = 8
    n_test_classes: int = 50
    training_runs: int = 24
    test_runs: int = 35
    imagery_runs: int = 20
    imagery_repeats: int = 10
    unmodelled: float = 0.6
    unmodelled_units: int = 600
    unmodelled_gain: float = 3.0
    n_components: int = 64
    active_channels: int = 6
    preference_sd: float = 0.3
    subject_gains: tuple[float, ...] = (0.18, 0.16, 0.24, 0.18, 0.14)
    size_factor: tuple[float, float] = (0.85, 1.15)
    face_in_object: float = 0.15

    def __post_init__(self) -> None:
        problems = [
            f"{n_classes} classes cannot be spread over {per_pass:g} runs in equal parts."
            for n_classes, per_pass in (
                (self.n_training_classes, self.training_runs / self.exemplars),
                (self.n_test_classes, self.imagery_runs / self.imagery_repeats),
            )
            if per_pass < 1 or per_pass % 1 or n_classes % per_pass
        ]
        if self.image_size % 16:
            problems.append(f"`image_size` is {self.image_size}, but must be a multiple of 16.")
        if problems:
            raise ValueError(f"Preset `{self.name}`: {' '.join(problems)}")

    @property
    def n_training(self) -> int:
        """Training pictures."""
        return self.n_training_classes * self.exemplars


_AREAS = (
    Area("V1", 1000, 0.90, 0.10, 0.00, 0.00, 0.00, 1.0, 0.25, 0.15),
    Area("V2", 1000, 0.70, 0.25, 0.05, 0.00, 0.00, 1.5, 0.22, 0.15),
    Area("V3", 760, 0.55, 0.35, 0.10, 0.00, 0.00, 2.0, 0.20, 0.15),
    Area("V4", 740, 0.30, 0.50, 0.20, 0.00, 0.00, 3.0, 0.20, 0.30),
    Area("LOC", 420, 0.10, 0.35, 0.55, 0.00, 0.00, 3.0, 0.18, 0.50),
    Area("FFA", 350, 0.05, 0.15, 0.45, 0.35, 0.00, 3.0, 0.15, 0.50),
    Area("PPA", 230, 0.05, 0.15, 0.45, 0.00, 0.35, 3.0, 0.15, 0.50),
)
_FULL = SynthPreset("full", 64, _AREAS, NetSettings(), NetSettings(widths=(32, 56, 80), n_features=192))
_TINY = replace(
    _FULL,
    name="tiny",
    image_size=32,
    areas=tuple(replace(area, n_voxels=area.n_voxels // 5) for area in _AREAS),
    net=NetSettings(widths=(16, 32, 64), n_features=128, n_pictures=3000, batch=50),
    evaluation_net=NetSettings(widths=(20, 28, 56), n_features=112, n_pictures=3000, batch=50),
)
_CALIBRATION = replace(
    _FULL,
    name="calibration",
    image_size=32,
    subject_gains=(0.2,),
    size_factor=(1.0, 1.0),
    face_in_object=0.0,
)

PRESETS: Mapping[str, SynthPreset] = MappingProxyType(
    {preset.name: preset for preset in (_FULL, _TINY, _CALIBRATION)}
)
"""By name: `full`; `tiny`, a fifth of the voxels and small pictures; `calibration`, on which section 8.2's table was
measured: small pictures, one gain of 0.2, the table's voxel counts, no voxel in two areas."""
