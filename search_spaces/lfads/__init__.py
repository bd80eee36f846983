"""Search space and sweep file of LFADS."""
