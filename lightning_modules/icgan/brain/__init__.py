"""Which areas carry what: the semantic index, patterns behind weights, an area's best picture, and maps."""
