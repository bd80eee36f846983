"""Networks in which publications score decoded pictures, read from their public weight files."""
