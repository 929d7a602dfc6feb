"""What maps a driver into containers by hand, rewritten: the modern command or file, and why each change."""
