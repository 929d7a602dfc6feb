"""Dockerfiles: what is wrong with one for GPUs, and a good one for a host and an application."""
