"""Sweeps from start to end: launching, resuming, watching and ending them."""
