"""Many hosts: asked through Ansible, kept in a folder, judged and compared."""
