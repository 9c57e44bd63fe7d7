"""Pictures of a run and of a data set in its space: PNG files and one HTML report."""
