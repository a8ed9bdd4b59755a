"""The signing keys of an installation: `operations` changes the key table, `keeper` keeps an instance in step."""
