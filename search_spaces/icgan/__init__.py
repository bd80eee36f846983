"""Search spaces and sweep files of decoders of pictures from fMRI."""
