"""RAVE and RAVE+ (Gonschorek et al. 2021): see README.md in this folder."""
