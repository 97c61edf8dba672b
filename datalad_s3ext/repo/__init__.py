"""Questions to git and git-annex; nothing of DataLad."""
