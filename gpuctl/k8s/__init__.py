"""A cluster as its API tells of it: lists of objects in, answers out. Nothing here asks a cluster or opens a file."""
