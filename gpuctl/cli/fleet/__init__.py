"""`gpuctl fleet`: many hosts, reached through Ansible, judged here, and told in classes."""

HELP = "Diagnose many hosts at once, by your Ansible inventory."
commands = ("doctor", "check", "collect", "smoke", "judge", "merge", "diff", "plan", "apply", "undo")
also_called = {"report": "judge", "rollback": "undo"}
"""By which other name a person may look for a command."""
