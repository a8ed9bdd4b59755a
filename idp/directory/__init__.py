"""The people and the clients that the service knows: registering them, changing them, proving a password; and what
has become of their tokens.

What changes the database writes its audit event in the same transaction.
"""
