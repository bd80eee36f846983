"""AlexNet up to its last convolution, whose second and fifth layers publications identify pictures in."""

from torch import Tensor, nn

LAYERS = {"alexnet 2": 4, "alexnet 5": 11}
"""Entry of `features` whose output is taken, by the name of the layer: after the ReLU."""


class AlexNet(nn.Module):
    """AlexNet without its classifier, under torchvision's names.

    Source:
        Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", as in torchvision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the layers of normalised pictures (B, 3, 224, 224), flattened: (B, 139968) and (B, 43264)."""
        found, names = {}, {position: name for name, position in LAYERS.items()}
        for position, layer in enumerate(self.features):
            images = layer(images)
            if position in names:
                found[names[position]] = images.flatten(1)
        return found
