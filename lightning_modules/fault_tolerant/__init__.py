"""Networks of unreliable neurons that compute reliably by error-correcting codes (Zlokapa et al. 2022)."""
