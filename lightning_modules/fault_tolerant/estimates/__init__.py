"""Errors too small to count: intervals, sampling by fault count, enumeration, importance sampling, splitting."""
