"""The life of signing keys: when each is published, signs, verifies and goes. Knows no HTTP and no SQL."""
