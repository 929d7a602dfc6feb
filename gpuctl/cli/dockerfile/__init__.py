"""`gpuctl dockerfile`: what is wrong with a Dockerfile for GPUs, and a good one for hosts and an application."""

from gpuctl.cli.dockerfile.lint import lint
from gpuctl.cli.dockerfile.new import new

HELP = "Find what is wrong with a Dockerfile for GPUs, or write a good one."
commands = (lint, new)
