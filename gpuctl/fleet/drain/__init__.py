"""Hosts taken out of service before they are changed, and brought back when that is verified."""
