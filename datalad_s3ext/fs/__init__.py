"""Reading without downloading: names and versions from git, bytes from wherever the annex has them."""
