"""ZIP archives with scenes: members checked, extracted to private folders, opened there."""
