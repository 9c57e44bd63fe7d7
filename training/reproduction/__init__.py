"""Running a published table again, row by row, and printing ours beside theirs.  No torch."""
