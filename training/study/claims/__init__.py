"""What the results say, in sentences that are computed from them."""
