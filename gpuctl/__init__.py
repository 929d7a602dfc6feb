"""gpuctl: from nothing works to a GPU container ran here, verified."""

__version__ = "0.1.0"
