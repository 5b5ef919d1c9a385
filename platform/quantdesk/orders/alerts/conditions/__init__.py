"""Conditions: what can be wrong, one class each, each with the numbers from which on it is. Pure."""
