"""The small network's features and maps, as the losses of pictures take them."""

from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.features.small_net import SmallNet
from lightning_modules.icgan.generator.image_loss import ImageFeatures


class SmallNetExtractor(nn.Module):
    """A trained `SmallNet` that stays as it is.

    Args:
        net: The network.
        kept: Places of the features that are used, (h_dim,); None for all. Features that are 0 for every picture
            carry nothing and are best left out.
    """

    def __init__(self, net: SmallNet, kept: Tensor | None = None) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("kept", kept, persistent=False)
        self.kept: Tensor | None
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "SmallNetExtractor":
        """Stay in `eval` mode: the statistics are those of the network's own training."""
        return super().train(False)

    def forward(self, images: Tensor) -> ImageFeatures:
        """Return features (B, h_dim) and the maps of the three blocks of pictures in [0, 1], (B, 3, S, S)."""
        x, maps = images, []
        for block in self.net.blocks:
            x = block(x)
            maps.append(x)
        pooled = functional.relu(self.net.last(x)).mean(dim=(2, 3))
        if self.kept is not None:
            pooled = pooled[:, self.kept]
        return ImageFeatures(functional.normalize(pooled), tuple(maps))
