"""Error-correcting codes that carry the values of a circuit through unreliable neurons."""
