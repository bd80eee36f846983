"""Networks of unreliable neurons whose weights are learned under the noise that they have to bear."""
