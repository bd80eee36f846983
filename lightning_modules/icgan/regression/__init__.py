"""From voxels to the features of a picture: ridge regression and its relatives, how alpha is chosen, output scales."""
