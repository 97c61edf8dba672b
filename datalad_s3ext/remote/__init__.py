"""The external special remote: git-annex's requests on one side, an object store on the other."""
