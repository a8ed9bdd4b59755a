"""Token Status Lists: indices for the tokens that are issued, and the lists that say which of them were revoked."""
