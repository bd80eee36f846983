from dataclasses import replace

import pytest

from lightning_modules.icgan.features.small_net import NetSettings
from lightning_modules.icgan.synthetic.presets import PRESETS, SynthPreset
from lightning_modules.icgan.synthetic.subject import SynthSubject, generate_subject
from lightning_modules.icgan.synthetic.world import SynthWorld, build_world


@pytest.fixture(scope="session")
def preset() -> SynthPreset:
    """The tiny preset with a network that hardly learns: what is tested with it does not depend on its features."""
    return replace(PRESETS["tiny"], net=NetSettings((8, 12, 16), 32, 300, epochs=1))


@pytest.fixture(scope="session")
def world(preset: SynthPreset) -> SynthWorld:
    return build_world(preset, seed=0)


@pytest.fixture(scope="session")
def subject(world: SynthWorld) -> SynthSubject:
    return generate_subject(world, 1)
