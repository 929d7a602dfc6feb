"""Smoke pods: a pod a node of a cluster that proves that GPUs are given there, and exactly those."""
