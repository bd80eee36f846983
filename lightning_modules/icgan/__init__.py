"""IC-GAN decoding of fMRI (Ozcelik et al. 2022): see README.md in this folder."""
