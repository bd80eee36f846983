"""Search spaces and sweep files of SABLE."""
