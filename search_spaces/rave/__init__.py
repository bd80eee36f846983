"""Search space and sweep file of RAVE+ and RAVE."""
