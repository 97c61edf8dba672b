"""How bytes move between local files and an object store; knows nothing of git-annex."""
