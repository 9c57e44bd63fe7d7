"""Tests of training.analyses."""
