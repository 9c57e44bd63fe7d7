"""Public data sets: where each comes from, how to tell it is whole, and how it is read.  No torch."""
