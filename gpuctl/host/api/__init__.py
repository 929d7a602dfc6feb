"""The door to a cluster: what its API answers to a GET."""
