"""Helpers of the test suite: one noun per module, nothing that knows a test."""
