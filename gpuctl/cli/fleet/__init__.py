"""`gpuctl fleet`: many hosts, reached through Ansible, judged here, and told in classes."""

HELP = "Diagnose many hosts at once, by your Ansible inventory."
commands = ("doctor", "check", "collect", "smoke", "judge", "merge", "diff", "plan", "apply", "undo")
