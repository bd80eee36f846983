"""What decoders predict of pictures: features of a small network, and low-level descriptors."""
