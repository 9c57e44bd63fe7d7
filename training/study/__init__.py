"""The study: many short trainings, one page of results.  Read `run` first."""
