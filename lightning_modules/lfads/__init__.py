"""LFADS (Pandarinath et al. 2018): see README.md in this folder."""
