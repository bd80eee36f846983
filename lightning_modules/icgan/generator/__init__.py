"""The IC-GAN generator: networks, checkpoints, inversion of pictures, and its training on a lab's own pictures."""
