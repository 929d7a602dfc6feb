"""`gpuctl fleet`: many hosts, reached through Ansible, judged here, and told in classes."""

from gpuctl.cli.fleet.collect import collect

HELP = "Diagnose many hosts at once, by your Ansible inventory."
commands = (collect,)
