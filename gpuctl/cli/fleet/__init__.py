"""`gpuctl fleet`: many hosts, reached through Ansible, judged here, and told in classes."""

from gpuctl.cli.fleet.apply import apply
from gpuctl.cli.fleet.check import check
from gpuctl.cli.fleet.collect import collect
from gpuctl.cli.fleet.diff import diff
from gpuctl.cli.fleet.doctor import doctor
from gpuctl.cli.fleet.judge import judge
from gpuctl.cli.fleet.merge import merge
from gpuctl.cli.fleet.plan import plan
from gpuctl.cli.fleet.smoke import smoke
from gpuctl.cli.fleet.undo import undo

HELP = "Diagnose many hosts at once, by your Ansible inventory."
commands = (doctor, check, collect, smoke, judge, merge, diff, plan, apply, undo)
