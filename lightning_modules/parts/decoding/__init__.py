"""Evaluation of decoders in closed form: linear decoders, references, alignments, probes, scores of days."""
