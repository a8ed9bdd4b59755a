"""What a password must be (`rules`), what is stored of it (`hashing`), where the work is done (`pool`)."""
