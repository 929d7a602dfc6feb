"""The rules of `gpuctl dockerfile lint`, a file for each subject."""
