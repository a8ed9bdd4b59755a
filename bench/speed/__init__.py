"""One file for each benchmark of the service and the verifier, and what several of them measure."""
