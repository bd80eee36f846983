"""Decoders of pictures from voxels as Lightning modules: settings, data, fit, scores, sealed evaluation."""
