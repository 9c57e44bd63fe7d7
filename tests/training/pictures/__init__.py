"""Tests of training.pictures."""
