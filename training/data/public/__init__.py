"""Public data sets: where each comes from, whether it is whole, how it is read.  No torch."""
