"""Search space and sweep file of codes for networks of unreliable neurons."""
