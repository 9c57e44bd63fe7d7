"""What mixing and distilling do to a space: alignment, uniformity, utilisation, positivity."""
