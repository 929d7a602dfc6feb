"""Kubernetes manifests that map drivers by hand or ask for GPUs in ways of old, rewritten to limits of today."""
