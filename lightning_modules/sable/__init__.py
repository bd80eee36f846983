"""SABLE (Jude et al. 2022): see README.md in this folder."""
