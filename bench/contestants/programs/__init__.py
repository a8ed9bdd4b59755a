"""What the processes of an anchor and of some peers run. Those of peers are written as their documentation shows."""
