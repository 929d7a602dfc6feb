"""Compose files that map drivers by hand or name the nvidia runtime, rewritten to requests for GPUs."""
