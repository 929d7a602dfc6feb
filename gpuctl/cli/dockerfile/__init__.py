"""`gpuctl dockerfile`: what is wrong with a Dockerfile for GPUs, and a good one for hosts and an application."""

HELP = "Find what is wrong with a Dockerfile for GPUs, or write a good one."
commands = ("lint", "new")
